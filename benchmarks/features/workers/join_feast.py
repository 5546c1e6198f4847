"""The point-in-time join by Feast: ``get_historical_features`` with its DuckDB offline store, from a Parquet file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import feast
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64
from protocol import Commands, serve

_WHOLE = ("f_count", "f_days")


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    folder = Path(job["folder"])
    store = FeatureStore(
        config=RepoConfig(
            project="benchmark",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer_id", join_keys=["customer_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="weekly",
        entities=[customer],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=Int64 if name in _WHOLE else Float64) for name in job["columns"]],
        source=FileSource(path=job["features"], timestamp_field="as_of"),
    )
    store.apply([customer, view])
    spine = pq.read_table(job["spine"]).to_pandas().rename(columns={"as_of": "event_timestamp"})
    wanted = [f"weekly:{name}" for name in job["columns"]]
    made: dict[str, Any] = {}

    def compute() -> None:
        made["joined"] = store.get_historical_features(entity_df=spine, features=wanted).to_arrow()

    def write() -> None:
        table = made["joined"]
        names = ["as_of" if name == "event_timestamp" else name for name in table.column_names]
        pq.write_table(table.rename_columns(names), job["result"])

    return f"Feast {feast.__version__}", {"compute": compute, "write": write}


if __name__ == "__main__":
    serve(load)
