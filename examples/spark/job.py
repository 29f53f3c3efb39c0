"""A small but whole Spark job: a table goes to Parquet and back, SQL adds it up, and the answer is checked.

Usage: job.py FOLDER        (a folder that the driver and all executors see)
Exits with 1, and says why, when the answer is wrong.
"""

import os
import shutil
import sys
import uuid

from pyspark import TaskContext
from pyspark.sql import SparkSession

ORDERS = 60_000
REGIONS = ["north", "east", "south", "west"]
PARTITIONS = 12


def order(number):
    """One order, the same whoever computes it: region, day, cents."""
    return REGIONS[number * 7 % 4], number % 30 + 1, number * 37 % 9973


def expected():
    """The answer without Spark: orders, cents and the best day's cents, for each region."""
    orders, cents, days = {}, {}, {}
    for number in range(ORDERS):
        region, day, amount = order(number)
        orders[region] = orders.get(region, 0) + 1
        cents[region] = cents.get(region, 0) + amount
        days[region, day] = days.get((region, day), 0) + amount
    best = {r: max(v for (region, _), v in days.items() if region == r) for r in orders}
    return sorted((r, orders[r], cents[r], best[r]) for r in orders)


def where(_):
    """The host of the executor that runs this task."""
    context = TaskContext.get()
    yield (os.environ.get("SPARK_LOCAL_IP", "?"), os.uname().nodename, context.partitionId())


def main(folder):
    spark = SparkSession.builder.appName("cloudtik example").getOrCreate()
    context = spark.sparkContext
    table = os.path.join(folder, f"orders-{uuid.uuid4().hex}")
    try:
        numbers = context.parallelize(range(ORDERS), PARTITIONS)
        frame = numbers.map(lambda n: (n, *order(n))).toDF(["id", "region", "day", "cents"])
        frame.write.partitionBy("region").parquet("file:" + table)
        spark.read.parquet("file:" + table).createOrReplaceTempView("orders")
        rows = spark.sql(
            """
            SELECT region, CAST(sum(n) AS BIGINT) AS orders, sum(cents) AS cents, max(cents) AS best_day
            FROM (SELECT region, day, count(*) AS n, sum(cents) AS cents FROM orders GROUP BY region, day)
            GROUP BY region ORDER BY region
            """
        ).collect()
        hosts = set(context.parallelize(range(PARTITIONS * 4), PARTITIONS * 4).mapPartitions(where).collect())
    finally:
        shutil.rmtree(table, ignore_errors=True)
    master = context.master
    spark.stop()

    found = [tuple(row) for row in rows]
    print(f"{'region':8} {'orders':>8} {'revenue':>12} {'best day':>12}")
    for region, orders, cents, best in found:
        print(f"{region:8} {orders:8} {cents / 100:12.2f} {best / 100:12.2f}")
    print(f"master    {master}")
    print(f"executors {' '.join(sorted({ip for ip, _, _ in hosts}))}")
    if found != expected():
        print(f"wrong answer: expected {expected()}", file=sys.stderr)
        return 1
    print("the answer is right")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: job.py FOLDER")
    sys.exit(main(sys.argv[1]))
