"""The features by the product, on the local cloud: the statements of the features stage, through the connector."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
from protocol import Commands, serve

from app.cloud.snowflake import SnowflakeWarehouse
from app.features.run import Progress, prepare_store, write_views
from app.features.store import view_table
from app.features.upkeep.backfill import BackfillPlan, plan_backfill
from app.runs.identity import Run, now
from app.spec import PipelineFile
from app.spec import load as load_pipeline
from app.sql import Statement
from localcloud.cloud import LocalCloud

if TYPE_CHECKING:
    from app.spec import FeatureView

PIPELINE = Path(__file__).parents[1] / "pipeline"
CONNECTION, DATABASE = "benchmark", "SNOWSAGE"
_TABLE = """CREATE TABLE RAW.ORDERS (
    ORDER_ID NUMBER(38, 0), CUSTOMER_ID NUMBER(38, 0), ORDER_DATE DATE, QUANTITY NUMBER(38, 0), AMOUNT NUMBER(10, 2)
)"""


def start(folder: Path) -> SnowflakeWarehouse:
    """A local cloud of this process, with the schemas that the product needs. It stops with the process."""
    cloud = LocalCloud(folder / "cloud", user="BENCHMARK", connection=CONNECTION, database=DATABASE)
    cloud.__enter__()
    atexit.register(cloud.__exit__, None, None, None)
    os.environ.update(cloud.environment)
    warehouse = SnowflakeWarehouse(DATABASE, cloud.environment)
    atexit.register(warehouse.close)
    for schema in ("RAW", "FEATURE_STORE"):
        warehouse.run(Statement(f"CREATE SCHEMA {schema}"))
    warehouse.run(Statement("CREATE STAGE RAW.FILES"))
    return warehouse


def copy_into(warehouse: SnowflakeWarehouse, table: str, file: Path) -> None:
    """Load a Parquet file."""
    warehouse.run(Statement(f"PUT 'file://{file}' @RAW.FILES AUTO_COMPRESS = FALSE"))
    warehouse.run(
        Statement(
            f"COPY INTO {table} FROM @RAW.FILES FILES = ('{file.name}')\n"
            "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
    )
    warehouse.run(Statement("REMOVE @RAW.FILES"))


def with_orders(job: dict[str, Any]) -> SnowflakeWarehouse:
    """A local cloud that holds the orders."""
    warehouse = start(Path(job["folder"]))
    warehouse.run(Statement(_TABLE))
    copy_into(warehouse, "RAW.ORDERS", Path(job["orders"]))
    return warehouse


def save(query: str, file: str) -> None:
    """Write a query's rows to a Parquet file, batch by batch."""
    import snowflake.connector

    home = Path(os.environ["SNOWFLAKE_HOME"], "connections.toml")
    with snowflake.connector.connect(connection_name=CONNECTION, connections_file_path=home) as connection:
        batches = connection.cursor().execute(query).fetch_arrow_batches()
        first = next(batches)
        with pq.ParquetWriter(file, first.schema) as writer:
            writer.write_table(first)
            for batch in batches:
                writer.write_table(batch.cast(first.schema))


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    warehouse = with_orders(job)
    file, as_of = defined(job.get("define")), datetime.fromisoformat(job["as_of"])
    plans: dict[str, BackfillPlan] = {}

    def plan() -> None:
        plans["one"] = plan_backfill(warehouse, file, [as_of])

    def plan_several() -> None:
        plans["several"] = plan_backfill(warehouse, file, [datetime.fromisoformat(each) for each in job["several"]])

    def compute() -> None:
        prepare_store(warehouse, plans["one"])
        _write(plans["one"])

    def several() -> None:
        _write(plans["several"])

    def _write(made: BackfillPlan) -> None:
        run = Run(file.pipeline.name, "benchmark", as_of.date(), now())
        write_views(warehouse, run, made.views, Progress(0, lambda _: None), now(), has_lineage=made.has_lineage)

    def write() -> dict[str, Any]:
        table = view_table(file.pipeline.features[0].view).sql
        sums = ", ".join(f"SUM({name.upper()})" for name in job["counts"])
        [totals] = warehouse.run(Statement(f"SELECT COUNT(*), {sums} FROM {table}")).rows
        named = ", ".join(f'{name.upper()} AS "{name}"' for name in ["customer_id", *job["counts"], *job["floats"]])
        save(f"SELECT {named} FROM {table} WHERE CUSTOMER_ID % {job['share']} = 0", job["result"])
        return {"totals": [int(value) for value in totals]}

    commands = {"plan": plan, "compute": compute, "plan several": plan_several, "several": several, "write": write}
    return f"snowsage on DuckDB {duckdb.__version__}", commands


def defined(define: str | None) -> PipelineFile:
    """The pipeline, its view defined by another function of its folder where one is named."""
    file = load_pipeline(PIPELINE)
    if define is None:
        return file
    views: Sequence[FeatureView] = [file.pipeline.features[0].model_copy(update={"define": define})]
    return replace(file, pipeline=file.pipeline.model_copy(update={"features": tuple(views)}))


if __name__ == "__main__":
    serve(load)
