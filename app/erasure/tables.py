"""The tables that hold rows of the entity, and the statements that remove them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.erasure.key import EntityKey
from app.errors import NotFound
from app.features import store
from app.features.observe import label_view
from app.ownership import owner_of
from app.ports import Warehouse
from app.spec import Pipeline
from app.sql import Name, Statement, columns, identifier, literal

ERASURES = Name.of(store.SCHEMA, "ERASURES")

_ERASURES = {
    "ERASURE_ID": "VARCHAR",
    "PIPELINE": "VARCHAR",
    "KEY_COLUMNS": "ARRAY",
    "SALT": "VARCHAR",
    "KEY_SHA256": "VARCHAR",
    "ERASED_BY": "VARCHAR",
    "ERASED_AT": "TIMESTAMP_NTZ",
    "TABLE_ROWS": "VARIANT",
}

CREATE_ERASURES = Statement(
    f"CREATE TABLE IF NOT EXISTS {ERASURES.sql} (\n    "
    + ",\n    ".join(f"{name} {kind} NOT NULL" for name, kind in _ERASURES.items())
    + ",\n    FILE_ROWS VARIANT\n)\nCOMMENT = 'snowsage: erased entities, without their keys'"
)


@dataclass(frozen=True)
class KeyedTable:
    """A table with the key's columns. ``features``: of a table of slices, whose lineage counts their rows; else empty."""

    name: Name
    is_sliced: bool
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundTables:
    """``keyed``: tables that may hold the entity. ``unkeyed``: the pipeline's tables without all columns of the key."""

    keyed: tuple[KeyedTable, ...]
    unkeyed: tuple[Name, ...]


def find_tables(warehouse: Warehouse, pipeline: Pipeline, key: EntityKey) -> FoundTables:
    """The tables that the pipeline owns in FEATURE_STORE, those of views that it shares, and its prediction table."""
    used = {*(view.view for view in pipeline.features), label_view(pipeline)}
    target = Name.parse(pipeline.batch.table)
    features = _listed(warehouse, f"SHOW OBJECTS IN SCHEMA {identifier(store.SCHEMA)}")
    names = [
        Name.of(store.SCHEMA, last)
        for last, (kind, owner) in features.items()
        if kind == "TABLE" and (owner == pipeline.name or last in used)
    ]
    # Next to the prediction table, those that a killed run of the batch stage left.
    schema = ".".join(identifier(part) for part in target.parts[:-1])
    like = f"SHOW OBJECTS LIKE {literal(f'{target.last}%')}" + (f" IN SCHEMA {schema}" if schema else "")
    for last, (kind, owner) in _listed(warehouse, like).items():
        own = last == target.last and owner == pipeline.name
        if kind != "VIEW" and (own or last.startswith(f"{target.last}__LOAD_")):
            names.append(target.sibling(last))
    described = warehouse.describe_all([f"SELECT * FROM {name.sql}" for name in names])
    keyed, unkeyed = [], []
    for name, found in zip(names, described, strict=True):
        held = [column.name for column in found]
        if {*key.columns} <= {*held}:
            is_sliced = {*store.RESERVED} <= {*held}
            kept = (*store.RESERVED, *pipeline.entity)
            keyed.append(KeyedTable(name, is_sliced, tuple(each for each in held if is_sliced and each not in kept)))
        else:
            unkeyed.append(name)
    return FoundTables(tuple(keyed), tuple(unkeyed))


def count_rows(
    warehouse: Warehouse, names: Sequence[Name], condition: str, binds: tuple[int | str, ...]
) -> dict[str, int]:
    """The entity's rows in each of the tables, by one statement. ``condition``: of its rows, with ``binds``."""
    if not names:
        return {}
    counts = "\nUNION ALL ".join(
        f"SELECT {literal(str(name))} AS TABLE_NAME, COUNT(*) AS FOUND FROM {name.sql} WHERE {condition}"
        for name in names
    )
    rows = warehouse.run(Statement(counts, binds * len(names))).rows
    return {str(name): int(found) for name, found in rows}


def remove_rows(table: KeyedTable, key: EntityKey) -> list[Statement]:
    """Delete the entity's rows. The lineage counts them no more, so that the slices are intact."""
    delete = Statement(f"DELETE FROM {table.name.sql} WHERE {key.condition}", key.binds)
    return [_count_less(table, key), delete] if table.is_sliced else [delete]


def _count_less(table: KeyedTable, key: EntityKey) -> Statement:
    """Subtract the entity's rows from the counts of the slices that hold them."""
    nulls = "".join(
        f", COUNT_IF({identifier(name)} IS NULL) AS NULLS_{index}" for index, name in enumerate(table.features)
    )
    slice_ = f"{store.VERSION}, {store.AS_OF}, {store.KNOWN_AT}"
    same = " AND ".join(f"t.{name} = s.{name}" for name in (store.VERSION, store.AS_OF, store.KNOWN_AT))
    left = ", ".join(
        f"{literal(name)}, GET(t.NULL_COUNTS, {literal(name)})::NUMBER - s.NULLS_{index}"
        for index, name in enumerate(table.features)
    )
    # OBJECT_CONSTRUCT leaves out what is NULL: features that the slice's version did not have.
    counts = f", NULL_COUNTS = IFF(t.NULL_COUNTS IS NULL, NULL, OBJECT_CONSTRUCT({left})::VARIANT)" if left else ""
    return Statement(
        f"MERGE INTO {store.LINEAGE.sql} AS t\n"
        f"USING (SELECT {slice_}, COUNT(*) AS ERASED{nulls}\n"
        f"    FROM {table.name.sql} WHERE {key.condition} GROUP BY {slice_}) AS s\n"
        f"ON t.VIEW_NAME = {literal(table.name.last)} AND {same}\n"
        f"WHEN MATCHED THEN UPDATE SET ROW_COUNT = t.ROW_COUNT - s.ERASED{counts}",
        key.binds,
    )


def record(
    erasure_id: str, pipeline: str, key: EntityKey, salt: str, rows: Mapping[str, int], at: datetime
) -> Statement:
    """The row of ERASURES: who erased what, and when, without the key."""
    values = "?, ?, PARSE_JSON(?)::ARRAY, ?, ?, CURRENT_USER(), ?::TIMESTAMP_NTZ, PARSE_JSON(?)"
    return Statement(
        f"INSERT INTO {ERASURES.sql} ({columns(_ERASURES)}) SELECT {values}",
        (
            *(erasure_id, pipeline, json.dumps(key.columns), salt, key.salted_sha256(salt), at),
            json.dumps(dict(rows)),
        ),
    )


def record_files(erasure_id: str, files: Mapping[str, int]) -> Statement:
    """What was removed on S3, once it was: by file, its rows."""
    return Statement(
        f"UPDATE {ERASURES.sql} SET FILE_ROWS = PARSE_JSON(?) WHERE ERASURE_ID = ?",
        (json.dumps(dict(files)), erasure_id),
    )


def _listed(warehouse: Warehouse, show: str) -> dict[str, tuple[str, str | None]]:
    """By name, kind and owner of objects."""
    try:
        answer = warehouse.run(Statement(show))
    except NotFound:
        return {}
    at = [answer.columns.index(column) for column in ("name", "kind", "comment")] if answer.rows else []
    listed = ([row[index] for index in at] for row in answer.rows)
    return {str(name): (str(kind), owner_of(str(text or ""))) for name, kind, text in listed}
