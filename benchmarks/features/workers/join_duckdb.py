"""The point-in-time join by DuckDB's own ASOF JOIN, from tables in memory, or from the Parquet files."""

from __future__ import annotations

from typing import Any

import duckdb
from protocol import Commands, serve


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    duck = duckdb.connect(config={"threads": job["threads"]})
    made = "VIEW" if job.get("from_files") else "TABLE"
    for name in ("features", "spine"):
        duck.execute(f"CREATE {made} {name} AS SELECT * FROM read_parquet('{job[name]}')")
    selected = ", ".join(f"f.{name}::DOUBLE AS {name}" for name in job["columns"])

    def compute() -> None:
        duck.execute(
            f"CREATE OR REPLACE TABLE joined AS SELECT s.customer_id, s.as_of, s.label, {selected} FROM spine AS s "
            "ASOF LEFT JOIN features AS f ON s.customer_id = f.customer_id AND s.as_of >= f.as_of"
        )

    def write() -> None:
        duck.execute(f"COPY joined TO '{job['result']}' (FORMAT parquet)")

    return f"DuckDB {duckdb.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
