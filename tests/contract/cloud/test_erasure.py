"""One entity is removed from tables and files, and the slices stay intact."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app import spec
from app.cloud.aws.s3 import S3Store
from app.cloud.snowflake import SnowflakeWarehouse
from app.erasure.key import EntityKey
from app.erasure.run import erase_entity, find_entity
from app.erasure.tables import ERASURES
from app.features import store as feature_store
from app.features.store import Counts, SlicePlan, ViewVersion
from app.ports import ColumnType
from app.spec import Pipeline
from app.sql import Statement

VIEW, AT, KNOWN_AT = "ERASING_ORDERS", datetime(1998, 1, 1), datetime(1998, 7, 1)
KEY = EntityKey({"CUSTOMER_ID": 17})


def erasing(folder: Path) -> Pipeline:
    pipeline = spec.load(folder).pipeline
    view = pipeline.features[0].model_copy(update={"view": VIEW})
    batch = pipeline.batch.model_copy(update={"table": "ANALYTICS.ERASING_SCORES"})
    return pipeline.model_copy(update={"name": "erasing", "features": (view,), "batch": batch})


def written(warehouse: SnowflakeWarehouse) -> ViewVersion:
    """A view with one slice of three customers, in which A is NULL once, and a prediction table."""
    query = "SELECT 17 AS CUSTOMER_ID, NULL::FLOAT AS A UNION ALL SELECT 18, 1.5 UNION ALL SELECT 19, 2.5"
    part = SlicePlan(VIEW, 1, AT, query, "d", "s", "{}")
    warehouse.run(feature_store.CREATE_LINEAGE)
    warehouse.run(
        feature_store.create_view_table(VIEW, {"CUSTOMER_ID": "NUMBER"}, (ColumnType("A", "number"),), "erasing")
    )
    warehouse.run(feature_store.write_slices((part,), ("CUSTOMER_ID",), ("A",), KNOWN_AT, KNOWN_AT))
    warehouse.run(feature_store.write_lineage((part,), "r", KNOWN_AT, {(VIEW, AT): Counts(3, 3, {"A": 1})}, KNOWN_AT))
    warehouse.run(
        Statement(
            "CREATE TABLE ANALYTICS.ERASING_SCORES COMMENT = 'snowsage: pipeline erasing; scores of its model' AS "
            "SELECT 17 AS CUSTOMER_ID, 0.5 AS SCORE UNION ALL SELECT 18, 0.6"
        )
    )
    return ViewVersion(VIEW, 1, ("CUSTOMER_ID",), ("A",))


def test_an_entity_is_removed_and_slices_stay_intact(
    warehouse: SnowflakeWarehouse, store: S3Store, environment: dict[str, str], pipeline: Path
) -> None:
    erased, view, bucket = erasing(pipeline), written(warehouse), environment["SNOWSAGE_BUCKET"]
    file = f"s3://{bucket}/erasing/r/batch/predictions/part-00000.parquet"
    body = io.BytesIO()
    pq.write_table(pa.table({"CUSTOMER_ID": [17, 18], "SCORE": [0.5, 0.6]}), body)
    store.write(file, body.getvalue())
    try:
        done = erase_entity(warehouse, store, erased, bucket, KEY)
        assert done.tables == {f"FEATURE_STORE.{VIEW}": 1, "ANALYTICS.ERASING_SCORES": 1}
        assert done.files == {file: 1}
        ((*_, rows, _, _, intact, removed_at),) = warehouse.run(feature_store.find_slices([view])).rows
        assert (rows, intact, removed_at) == (2, True, None)
        nulls = warehouse.run(
            Statement(f"SELECT NULL_COUNTS FROM {feature_store.LINEAGE.sql} WHERE VIEW_NAME = ?", (VIEW,))
        ).scalar()
        assert json.loads(nulls) == {"A": 0}
        assert warehouse.run(Statement("SELECT CUSTOMER_ID FROM ANALYTICS.ERASING_SCORES")).rows == [(18,)]
        assert pq.read_table(io.BytesIO(store.read(file))).to_pydict()["CUSTOMER_ID"] == [18]
        query = f"SELECT SALT, KEY_SHA256, TABLE_ROWS, FILE_ROWS FROM {ERASURES.sql} WHERE ERASURE_ID = ?"
        ((salt, digest, tables, files),) = warehouse.run(Statement(query, (done.id,))).rows
        assert digest == KEY.salted_sha256(salt)
        assert (json.loads(tables), json.loads(files)) == (done.tables, done.files)
        _, again = find_entity(warehouse, store, erased, bucket, KEY)
        assert (sum(again.tables.values()), again.files) == (0, {})
        assert again.sources == done.sources
    finally:
        warehouse.run(Statement("DROP TABLE ANALYTICS.ERASING_SCORES"))
        warehouse.run(Statement(f"DROP TABLE {feature_store.view_table(VIEW).sql}"))
        warehouse.run(Statement(f"DELETE FROM {feature_store.LINEAGE.sql} WHERE VIEW_NAME = ?", (VIEW,)))
        store.delete_below(f"s3://{bucket}/erasing/")
