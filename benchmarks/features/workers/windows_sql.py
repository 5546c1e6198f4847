"""Trailing windows at several times by SQL as one writes it for DuckDB, each time by its own scan."""

from __future__ import annotations

from typing import Any

import duckdb
from duckdb_sql import with_orders
from protocol import Commands, serve


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    duck = with_orders(job)

    def compute() -> None:
        duck.execute(f"CREATE OR REPLACE TABLE features AS {' UNION ALL '.join(map(windows, job['times']))}")

    def windows(as_of: str) -> str:
        recent = [(days, f"FILTER (order_date >= DATE '{as_of}' - {days})") for days in job["days"]]
        columns = ", ".join(
            f"count(*) {within} AS orders_{days}_days, coalesce(sum(amount) {within}, 0)::DOUBLE AS spent_{days}_days"
            for days, within in recent
        )
        return (
            f"SELECT customer_id * 100 + {job['times'].index(as_of)} AS row_id, {columns} "
            f"FROM orders WHERE order_date < DATE '{as_of}' GROUP BY customer_id"
        )

    def write() -> None:
        duck.execute(f"COPY features TO '{job['result']}' (FORMAT parquet)")

    return f"DuckDB {duckdb.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
