"""The point-in-time join by the product: the query of a training set whose rows have times of their own, on the local cloud."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from product import copy_into, save, start
from protocol import Commands, serve

from app.features import store
from app.features.store import Slice
from app.features.training_set import FeatureSet, Spine, training_query
from app.ports import ColumnType
from app.sql import Statement
from sagemaker_entry.contract import Column, Contract

VIEW, LABEL = "WEEKLY", "BENCHMARK_LABEL"
#: One computation of all slices: the rule that chooses one for each time does not depend on how many there are of a time.
KNOWN_AT = datetime(2026, 1, 1)


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    warehouse = start(Path(job["folder"]))
    names = tuple(name.upper() for name in job["columns"])
    tables = {
        VIEW: (store.create_view_table(VIEW, {"CUSTOMER_ID": "NUMBER"}, _numbers(names), "benchmark"), job["features"]),
        LABEL: (
            store.create_view_table(
                LABEL, {"CUSTOMER_ID": "NUMBER", store.ROW_TIME: "TIMESTAMP_NTZ"}, _numbers(("LABEL",)), "benchmark"
            ),
            job["spine"],
        ),
    }
    first = datetime.fromisoformat(job["first"])
    end = first + timedelta(days=job["step_days"] * job["slices"])
    for view, (create, file) in tables.items():
        warehouse.run(create)
        _fill(warehouse, view, Path(file), end)
    features = FeatureSet(
        contract=Contract(tuple(Column(name) for name in names), ("CUSTOMER_ID",), "LABEL", store.AS_OF).to_dict(),
        view_columns={VIEW: names},
        booleans=(),
        label_view=LABEL,
        slices=(
            *(
                Slice(VIEW, 1, first + timedelta(days=job["step_days"] * index), KNOWN_AT, job["entities"])
                for index in range(job["slices"])
            ),
            Slice(LABEL, 1, end, KNOWN_AT, job["rows"]),
        ),
        training_as_of=(end,),
        scoring_as_of=end,
        spine=Spine(),
    )
    query = training_query(features)

    def compute() -> None:
        warehouse.run(Statement(f"CREATE OR REPLACE TABLE RAW.JOINED AS\n{query}"))

    def write() -> None:
        named = ", ".join(f'{name.upper()} AS "{name}"' for name in ("customer_id", "as_of", "label", *job["columns"]))
        save(f"SELECT {named} FROM RAW.JOINED", job["result"])

    return f"snowsage on DuckDB {duckdb.__version__}", {"compute": compute, "write": write}


def _numbers(names: tuple[str, ...]) -> tuple[ColumnType, ...]:
    return tuple(ColumnType(name, "number", whole=False) for name in names)


def _fill(warehouse: Any, view: str, file: Path, end: datetime) -> None:
    """Load a view's slices, or the label's rows, whose time is a column of its own."""
    staged = f"RAW.STAGED_{view}"
    columns = "CUSTOMER_ID NUMBER, AS_OF TIMESTAMP_NTZ, "
    columns += (
        "LABEL NUMBER" if view == LABEL else "F_COUNT NUMBER, F_SUM FLOAT, F_MEAN FLOAT, F_DAYS NUMBER, F_SHARE FLOAT"
    )
    warehouse.run(Statement(f"CREATE TABLE {staged} ({columns})"))
    copy_into(warehouse, staged, file)
    key = f"CUSTOMER_ID, AS_OF AS ROW_TIME, '{end}'::TIMESTAMP_NTZ" if view == LABEL else "CUSTOMER_ID, AS_OF"
    warehouse.run(
        Statement(
            f"INSERT INTO {store.view_table(view).sql}\nSELECT {key}, 1, ?::TIMESTAMP_NTZ, ?::TIMESTAMP_NTZ, "
            f"* EXCLUDE (CUSTOMER_ID, AS_OF) FROM {staged}",
            (KNOWN_AT, KNOWN_AT),
        )
    )
    warehouse.run(Statement(f"DROP TABLE {staged}"))


if __name__ == "__main__":
    serve(load)
