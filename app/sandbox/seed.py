"""Loads seeds, a pipeline's example data, into its source tables: Parquet on S3, then COPY INTO.

Only the local cloud loads seeds; a real account has its own data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.cloud.aws.session import AwsSession, translated
from app.errors import CallerError, NotFound
from app.export.plan import LOADED_PARQUET
from app.ports import Warehouse
from app.spec import PipelineFile
from app.sql import Name, Statement, identifier, stage_path


@dataclass(frozen=True)
class Seeded:
    """A source's table. ``kept``: it existed, and was left as it is. ``rows``: how many it has."""

    table: str
    rows: int
    kept: bool


def load_seeds(file: PipelineFile, warehouse: Warehouse, session: AwsSession, bucket: str, stage: Name) -> list[Seeded]:
    """Create and fill the table of every source that has a seed. A table that exists is kept: it may hold changes."""
    seeded = []
    for name, source in file.pipeline.sources.items():
        if source.seed is None:
            continue
        path, table = file.folder / source.seed, Name.parse(source.table)
        if not path.is_file():
            raise CallerError(f"sources.{name}.seed: {path} does not exist")
        kept = _exists(warehouse, table)
        if not kept:
            _load(path, table, f"seeds/{file.pipeline.name}/{name}/", warehouse, session, bucket, stage)
        rows = int(warehouse.run(Statement(f"SELECT COUNT(*) FROM {table.sql}")).scalar())
        seeded.append(Seeded(str(table), rows, kept))
    return seeded


def _exists(warehouse: Warehouse, table: Name) -> bool:
    try:
        warehouse.describe(f"SELECT * FROM {table.sql}")
    except NotFound:
        return False
    return True


def _load(
    path: Path, table: Name, prefix: str, warehouse: Warehouse, session: AwsSession, bucket: str, stage: Name
) -> None:
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise CallerError(f"{path} is not a Parquet file") from error
    with translated(f"uploading {path.name}"):
        session.client("s3").upload_file(str(path), bucket, f"{prefix}{path.name}")
    columns = ", ".join(f"{identifier(field.name.upper())} {_sql_type(field.type)}" for field in schema)
    warehouse.run(Statement(f"CREATE OR REPLACE TABLE {table.sql} ({columns})"))
    warehouse.run(
        Statement(
            f"COPY INTO {table.sql} FROM {stage_path(stage, prefix)}\nFILE_FORMAT = {LOADED_PARQUET}\n"
            "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
    )


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "NUMBER(38, 0)"
    if pa.types.is_decimal(kind):
        return f"NUMBER({kind.precision}, {kind.scale})"
    if pa.types.is_floating(kind):
        return "FLOAT"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP_NTZ"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "VARCHAR"
    raise CallerError(f"a seed cannot hold a column of type {kind}; write it as number, text, date or timestamp")
