"""Loads seeds, a pipeline's example data, into its source tables: Parquet on S3, then COPY INTO.

Only the local cloud loads seeds; a real account has its own data.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.cloud.aws.session import AwsSession, translated
from app.errors import CallerError
from app.ports import Warehouse
from app.spec import PipelineFile
from app.sql import Name, Statement, identifier, stage_path


def load_seeds(file: PipelineFile, warehouse: Warehouse, session: AwsSession, bucket: str, stage: Name) -> None:
    """Create and fill the table of every source that has a seed. An existing table is replaced."""
    for name, source in file.pipeline.sources.items():
        if source.seed is not None:
            path = file.folder / source.seed
            if not path.is_file():
                raise CallerError(f"sources.{name}.seed: {path} does not exist")
            _load(
                path, Name.parse(source.table), f"seeds/{file.pipeline.name}/{name}/", warehouse, session, bucket, stage
            )


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
            f"COPY INTO {table.sql} FROM {stage_path(stage, prefix)}\nFILE_FORMAT = (TYPE = PARQUET)\n"
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
