"""Finds what a pipeline stores about one entity, and removes it.

The tables change in one transaction with the record of the erasure. Files follow, each as a whole; an erasure that is killed
between the two is completed by the same command.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from app.erasure.files import search_files
from app.erasure.key import EntityKey, new_salt
from app.erasure.tables import CREATE_ERASURES, FoundTables, count_rows, find_tables, record, record_files, remove_rows
from app.ports import ObjectStore, Warehouse
from app.runs.identity import now
from app.spec import Pipeline
from app.sql import Name


@dataclass(frozen=True)
class Erasure:
    """What was found, or removed. ``sources``: the entity's rows in the team's own tables, which are not touched.

    ``unkeyed``: the pipeline's tables without the key's columns. ``unmatched``: files that cannot be searched by the key.
    ``id``: of the row in ERASURES; empty if nothing was removed.
    """

    tables: dict[str, int]
    files: dict[str, int]
    sources: dict[str, int]
    unkeyed: tuple[str, ...]
    unmatched: tuple[str, ...]
    id: str = ""


def find_entity(
    warehouse: Warehouse, store: ObjectStore, pipeline: Pipeline, bucket: str, key: EntityKey
) -> tuple[FoundTables, Erasure]:
    """What is stored about the entity. Changes nothing."""
    tables = find_tables(warehouse, pipeline, key)
    names = [table.name for table in tables.keyed]
    counted = count_rows(warehouse, names, key.condition, key.binds)
    files = search_files(store, _folder(bucket, pipeline), key, captured_by=pipeline.serving.key, remove=False)
    unkeyed = tuple(str(name) for name in tables.unkeyed)
    return tables, Erasure(counted, files.rows, _in_sources(warehouse, pipeline, key), unkeyed, files.unmatched)


def erase_entity(
    warehouse: Warehouse,
    store: ObjectStore,
    pipeline: Pipeline,
    bucket: str,
    key: EntityKey,
    tell: Callable[[str], None] = lambda _: None,
) -> Erasure:
    """Remove the entity. The caller has the pipeline's lease."""
    tell("reading which tables hold the entity")
    tables, found = find_entity(warehouse, store, pipeline, bucket, key)
    warehouse.run(CREATE_ERASURES)
    id, salt = uuid.uuid4().hex, new_salt()
    tell("removing rows from tables")
    statements = [statement for table in tables.keyed for statement in remove_rows(table, key)]
    warehouse.run_atomically([*statements, record(id, pipeline.name, key, salt, found.tables, now())])
    files = search_files(
        store, _folder(bucket, pipeline), key, captured_by=pipeline.serving.key, remove=True, tell=tell
    )
    warehouse.run(record_files(id, files.rows))
    return Erasure(found.tables, files.rows, found.sources, found.unkeyed, files.unmatched, id)


def _folder(bucket: str, pipeline: Pipeline) -> str:
    return f"s3://{bucket}/{pipeline.name}/"


def _in_sources(warehouse: Warehouse, pipeline: Pipeline, key: EntityKey) -> dict[str, int]:
    """The entity's rows in the sources that have the key's columns."""
    names = {source.table: Name.parse(source.table) for source in pipeline.sources.values()}
    described = warehouse.describe_all([f"SELECT * FROM {name.sql}" for name in names.values()])
    keyed = [
        name
        for name, found in zip(names.values(), described, strict=True)
        if {*key.columns} <= {column.name for column in found}
    ]
    return count_rows(warehouse, keyed, key.text_condition, key.texts)
