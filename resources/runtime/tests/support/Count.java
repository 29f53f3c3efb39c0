import org.apache.spark.sql.SparkSession;

public class Count {
  public static void main(String[] args) {
    SparkSession spark = SparkSession.builder().appName("count").getOrCreate();
    long sum = spark.range(1000).selectExpr("sum(id)").first().getLong(0);
    System.out.println("count " + sum + " on " + spark.sparkContext().master());
    spark.stop();
  }
}
