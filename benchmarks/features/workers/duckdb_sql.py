"""The features by SQL as one writes it for DuckDB: one scan, into a table in memory."""

from __future__ import annotations

from typing import Any

import duckdb
from protocol import Commands, serve

RECENT = "FILTER (order_date >= DATE '{as_of}' - {days})"


def query(as_of: str, days: list[int], orders: str = "orders") -> str:
    """The features of every customer with an order before ``as_of``."""
    windows = ",\n    ".join(
        f"count(*) {RECENT.format(as_of=as_of, days=each)} AS orders_{each}_days,\n    "
        f"coalesce(sum(amount) {RECENT.format(as_of=as_of, days=each)}, 0)::DOUBLE AS spent_{each}_days"
        for each in days
    )
    return f"""SELECT customer_id,
    {windows},
    DATE '{as_of}' - max(order_date) AS recency_days, DATE '{as_of}' - min(order_date) AS tenure_days,
    (max(order_date) - min(order_date)) / nullif(count(*) - 1, 0) AS average_gap_days,
    sum(amount)::DOUBLE AS spent, sum(amount)::DOUBLE / count(*) AS average_order, max(amount)::DOUBLE AS largest_order
FROM {orders} WHERE order_date < DATE '{as_of}' GROUP BY customer_id"""


def with_orders(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """The orders in memory, with the types of the local Snowflake's table."""
    duck = duckdb.connect(config={"threads": job["threads"]})
    duck.execute(
        "CREATE TABLE orders AS SELECT order_id, customer_id, order_date, quantity::BIGINT AS quantity, amount "
        f"FROM read_parquet('{job['orders']}')"
    )
    return duck


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    duck = with_orders(job)

    def compute() -> None:
        duck.execute(f"CREATE OR REPLACE TABLE features AS {query(job['as_of'], job['days'])}")

    def several() -> None:
        parts = [f"SELECT DATE '{each}' AS as_of, * FROM ({query(each, job['days'])})" for each in job["several"]]
        duck.execute(f"CREATE OR REPLACE TABLE several AS {' UNION ALL '.join(parts)}")

    def write() -> dict[str, Any]:
        sums = ", ".join(f"sum({name})::BIGINT" for name in job["counts"])
        [(rows, *found)] = duck.execute(f"SELECT count(*), {sums} FROM features").fetchall()
        duck.execute(
            f"COPY (FROM features WHERE customer_id % {job['share']} = 0) TO '{job['result']}' (FORMAT parquet)"
        )
        return {"totals": [rows, *found]}

    return f"DuckDB {duckdb.__version__}", {"compute": compute, "several": several, "write": write}


if __name__ == "__main__":
    serve(load)
