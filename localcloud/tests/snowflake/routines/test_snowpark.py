"""Snowpark on the local Snowflake: the operations that feature definitions use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from snowflake.snowpark import Session, Window
from snowflake.snowpark import functions as f


@pytest.fixture
def session(connect: Any, schema: str) -> Iterator[Session]:
    session = Session.builder.configs({"connection": connect(schema=schema)}).create()
    session.sql("CREATE TABLE orders (customer_id NUMBER, amount FLOAT, at TIMESTAMP_NTZ)").collect()
    session.sql(
        "INSERT INTO orders VALUES (1, 10, '2024-01-01'), (1, 20, '2024-01-11'), (2, 5, '2024-02-01'), (2, NULL, '2024-02-03')"
    ).collect()
    yield session
    session.close()


def test_filter_group_and_save(session: Session) -> None:
    orders = session.table("orders")
    frame = (
        orders.filter(f.col("amount").is_not_null())
        .group_by("customer_id")
        .agg(
            f.sum("amount").alias("total"),
            f.count("*").alias("orders"),
            f.datediff("day", f.max("at"), f.to_timestamp_ntz(f.lit("2024-03-01"))).alias("recency"),
        )
    )
    assert [field.name for field in frame.schema.fields] == ["CUSTOMER_ID", "TOTAL", "ORDERS", "RECENCY"]
    frame.write.save_as_table("features", mode="overwrite")
    rows = session.table("features").sort("customer_id").collect()
    assert [tuple(row) for row in rows] == [(1, 30.0, 2, 50), (2, 5.0, 1, 29)]
    frame.write.mode("append").save_as_table("features")
    assert session.table("features").count() == 4


def test_windows(session: Session) -> None:
    by_customer = Window.partition_by("customer_id").order_by("at")
    rows = (
        session.table("orders")
        .select("customer_id", f.datediff("day", f.lag("at").over(by_customer), f.col("at")).alias("gap"))
        .sort("customer_id", "gap")
        .collect()
    )
    assert [tuple(row) for row in rows] == [(1, None), (1, 10), (2, None), (2, 2)]


def test_local_rows_temporary_tables_and_pandas(session: Session) -> None:
    frame = session.create_dataframe([[1, "a"], [2, None]], schema=["id", "name"])
    frame.write.save_as_table("names", table_type="temporary")
    joined = session.table("orders").join(session.table("names"), f.col("customer_id") == f.col("id"))
    assert joined.count() == 4
    pandas = session.table("names").to_pandas()
    assert list(pandas.columns) == ["ID", "NAME"]
    assert session.table("orders").cache_result().count() == 4
    frame.create_or_replace_view("names_view")


def test_a_dynamic_table_of_a_frame(session: Session) -> None:
    session.table("orders").select("customer_id").create_or_replace_dynamic_table(
        "customers", warehouse="COMPUTE_WH", lag="1 hour"
    )
    assert session.table("customers").count() == 4
