"""A small but whole Spark job: a table goes to Parquet and back, SQL adds it up, and the answer is checked.

Where nodes share no folder, the table stays in the executors' memory. Exits with 1, and says why, when the answer is wrong.
"""

import argparse
import os
import shutil
import sys
import time
import uuid

from pyspark.sql import SparkSession

ORDERS = 60_000
REGIONS = ["north", "east", "south", "west"]


def expected():
    """The answer without Spark: region, orders, cents and the best day's cents."""
    orders, cents, days = {}, {}, {}
    for number in range(ORDERS):
        region, day, amount = REGIONS[number * 7 % 4], number % 30 + 1, number * 37 % 9973
        orders[region] = orders.get(region, 0) + 1
        cents[region] = cents.get(region, 0) + amount
        days[region, day] = days.get((region, day), 0) + amount
    best = {r: max(v for (region, _), v in days.items() if region == r) for r in orders}
    return sorted((r, orders[r], cents[r], best[r]) for r in orders)


def await_executors(context, count):
    """Returns once `count` executors have registered, or after a minute."""
    deadline = time.monotonic() + 60
    # The driver counts itself.
    while context._jsc.sc().getExecutorMemoryStatus().size() - 1 < count and time.monotonic() < deadline:
        time.sleep(0.05)


def address(_):
    """The address of the executor that runs this task."""
    yield os.environ.get("SPARK_LOCAL_IP", os.uname().nodename)


def add_up(spark, table):
    """Writes the orders as Parquet and reads them back, if there is a place, and returns the rows of the answer."""
    names = ", ".join(f"'{region}'" for region in REGIONS)
    orders = spark.range(ORDERS).selectExpr(
        "id", f"elt(int(id * 7 % 4) + 1, {names}) AS region", "id % 30 + 1 AS day", "id * 37 % 9973 AS cents"
    )
    if table:
        orders.write.parquet("file:" + table)
        orders = spark.read.parquet("file:" + table)
    orders.createOrReplaceTempView("orders")
    return spark.sql(
        """
        WITH days AS (SELECT region, day, count(*) AS orders, sum(cents) AS cents FROM orders GROUP BY region, day)
        SELECT region, sum(orders) AS orders, sum(cents) AS cents, max(cents) AS best_day
        FROM days GROUP BY region ORDER BY region
        """
    ).collect()


def main(folder, executors):
    spark = SparkSession.builder.appName("cloudtik example").getOrCreate()
    context = spark.sparkContext
    await_executors(context, executors)
    table = os.path.join(os.path.abspath(folder), f"orders-{uuid.uuid4().hex}") if folder else None
    try:
        rows = add_up(spark, table)
    finally:
        if table:
            shutil.rmtree(table, ignore_errors=True)
    tasks = 4 * context.defaultParallelism
    addresses = set(context.parallelize(range(tasks), tasks).mapPartitions(address).collect())
    master = context.master
    spark.stop()

    found = [tuple(row) for row in rows]
    print(f"{'region':8} {'orders':>8} {'revenue':>12} {'best day':>12}")
    for region, orders, cents, best in found:
        print(f"{region:8} {orders:8} {cents / 100:12.2f} {best / 100:12.2f}")
    print(f"master    {master}")
    print(f"executors {' '.join(sorted(addresses))}")
    if found != expected():
        print(f"wrong answer: expected {expected()}", file=sys.stderr)
        return 1
    print("the answer is right")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executors", type=int, default=1, help="how many to wait for before the first task")
    parser.add_argument("--folder", default=os.environ.get("CLOUDTIK_SHARED"), help="one that all nodes see")
    options = parser.parse_args()
    sys.exit(main(options.folder, options.executors))
