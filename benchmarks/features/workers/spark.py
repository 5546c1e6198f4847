"""The features by PySpark in local mode, from rows that it holds in memory. They are computed and not stored: a sink takes them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyspark
from protocol import Commands, serve
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    folder = Path(job["folder"])
    spark = (
        SparkSession.builder.master(f"local[{job['threads']}]")
        .config("spark.driver.memory", f"{job['memory_gib']}g")
        .config("spark.sql.shuffle.partitions", str(job["partitions"]))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(folder / "scratch"))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    orders = spark.read.parquet(job["orders"]).select(
        "customer_id", "order_date", F.col("amount").cast("double").alias("amount")
    )
    orders = orders.persist()
    orders.count()
    as_of = date.fromisoformat(job["as_of"])

    def features() -> DataFrame:
        at, day, amount = F.lit(as_of), F.col("order_date"), F.col("amount")
        windows = []
        for window in job["days"]:
            recent = F.when(day >= F.lit(as_of - timedelta(days=window)), amount)
            windows += [
                F.count(recent).alias(f"orders_{window}_days"),
                F.coalesce(F.sum(recent), F.lit(0.0)).alias(f"spent_{window}_days"),
            ]
        first, last, n = F.min(day), F.max(day), F.count(F.lit(1))
        return (
            orders.where(day < at)
            .groupBy("customer_id")
            .agg(
                *windows,
                F.datediff(at, last).alias("recency_days"),
                F.datediff(at, first).alias("tenure_days"),
                (F.datediff(last, first) / F.when(n > 1, n - 1)).alias("average_gap_days"),
                F.sum(amount).alias("spent"),
                F.avg(amount).alias("average_order"),
                F.max(amount).alias("largest_order"),
            )
        )

    def compute() -> None:
        features().write.format("noop").mode("overwrite").save()

    def write() -> dict[str, Any]:
        made = features()
        totals = made.agg(F.count(F.lit(1)), *(F.sum(name) for name in job["counts"])).first()
        made.where(F.col("customer_id") % job["share"] == 0).write.parquet(job["result"] + ".parts")
        return {"totals": [int(value) for value in totals], "files": Path(job["result"]).name + ".parts/*.parquet"}

    return f"PySpark {pyspark.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
