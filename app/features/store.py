"""The feature store's tables: one for each view, keyed by entity, AS_OF, FEATURE_VERSION and KNOWN_AT; and the lineage.

A *slice* is the rows of one view at one as-of time, computed from one state of the sources. Its row in ``FEATURE_LINEAGE`` is
written last: a slice without that row is incomplete and is written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.errors import CallerError
from app.ports import ColumnType
from app.sql import Name, Statement, columns, identifier

SCHEMA = "FEATURE_STORE"
LINEAGE = Name.of(SCHEMA, "FEATURE_LINEAGE")

#: Columns of a view's table that are not features.
AS_OF, VERSION, KNOWN_AT, CREATED_AT = "AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT"
RESERVED = (AS_OF, VERSION, KNOWN_AT, CREATED_AT)

_STORED_AS = {"number": "FLOAT", "boolean": "BOOLEAN", "text": "VARCHAR"}

CREATE_LINEAGE = Statement(
    f"""CREATE TABLE IF NOT EXISTS {LINEAGE.sql} (
    VIEW_NAME VARCHAR NOT NULL, FEATURE_VERSION NUMBER NOT NULL, AS_OF TIMESTAMP_NTZ NOT NULL,
    KNOWN_AT TIMESTAMP_NTZ NOT NULL, DEFINITION_SHA256 VARCHAR NOT NULL, SOURCES_SHA256 VARCHAR NOT NULL,
    SOURCES VARCHAR NOT NULL, RUN_ID VARCHAR NOT NULL, ROW_COUNT NUMBER NOT NULL, CREATED_AT TIMESTAMP_NTZ NOT NULL
)"""
)


@dataclass(frozen=True)
class Slice:
    """Rows of one view at one time. ``known_at`` distinguishes slices from different states of the sources."""

    view: str
    version: int
    as_of: datetime
    known_at: datetime
    rows: int


@dataclass(frozen=True)
class SlicePlan:
    """A slice to write. ``sources``: the sources' state as JSON. The two digests identify its query and its sources."""

    view: str
    version: int
    as_of: datetime
    query: str
    definition_sha256: str
    sources_sha256: str
    sources: str


def view_table(view: str) -> Name:
    """The table of a view."""
    return Name.of(SCHEMA, view)


def create_view_table(view: str, key: dict[str, str], features: tuple[ColumnType, ...]) -> Statement:
    """The view's table. The key is declared for readers; Snowflake does not enforce it, so the stage checks it."""
    typed = [f"{identifier(name)} {kind} NOT NULL" for name, kind in key.items()]
    typed += [f"{AS_OF} TIMESTAMP_NTZ NOT NULL", f"{VERSION} NUMBER NOT NULL", f"{KNOWN_AT} TIMESTAMP_NTZ NOT NULL"]
    typed += [f"{CREATED_AT} TIMESTAMP_NTZ NOT NULL"]
    typed += [f"{identifier(feature.name)} {_STORED_AS[feature.kind]}" for feature in features]
    return Statement(
        f"CREATE TABLE IF NOT EXISTS {view_table(view).sql} (\n    "
        + ",\n    ".join(typed)
        + f",\n    PRIMARY KEY ({columns([*key])}, {AS_OF}, {VERSION}, {KNOWN_AT})\n)"
    )


def add_columns(view: str, present: tuple[ColumnType, ...], features: tuple[ColumnType, ...]) -> list[Statement]:
    """The columns that a table of an earlier version lacks. Raises CallerError for a feature whose type changed."""
    kinds = {column.name: column.kind for column in present}
    if changed := [feature.name for feature in features if kinds.get(feature.name, feature.kind) != feature.kind]:
        raise CallerError(
            f"view {view}: {', '.join(changed)} has another type than in {view_table(view)}; give it another name"
        )
    return [
        Statement(
            f"ALTER TABLE {view_table(view).sql} ADD COLUMN {identifier(feature.name)} {_STORED_AS[feature.kind]}"
        )
        for feature in features
        if feature.name not in kinds
    ]


def write_slice(
    plan: SlicePlan, key: tuple[str, ...], features: tuple[str, ...], known_at: datetime, created_at: datetime
) -> list[Statement]:
    """Replace the slice's rows, in one transaction."""
    table, named = view_table(plan.view).sql, columns([*key, *features])
    identity = (plan.as_of, plan.version, known_at)
    return [
        Statement(f"DELETE FROM {table} WHERE {AS_OF} = ? AND {VERSION} = ? AND {KNOWN_AT} = ?", identity),
        Statement(
            f"INSERT INTO {table} ({AS_OF}, {VERSION}, {KNOWN_AT}, {CREATED_AT}, {named})\n"
            f"SELECT ?::TIMESTAMP_NTZ, ?::NUMBER, ?::TIMESTAMP_NTZ, ?::TIMESTAMP_NTZ, {named} FROM (\n{plan.query}\n)",
            (*identity, created_at),
        ),
    ]


def count_slice(plan: SlicePlan, key: tuple[str, ...], known_at: datetime) -> Statement:
    """(rows, distinct entities) of a slice; the two must be equal."""
    return Statement(
        f"SELECT COUNT(*), COUNT(DISTINCT {columns(key)}) FROM {view_table(plan.view).sql} "
        f"WHERE {AS_OF} = ? AND {VERSION} = ? AND {KNOWN_AT} = ?",
        (plan.as_of, plan.version, known_at),
    )


def write_lineage(plan: SlicePlan, run_id: str, known_at: datetime, rows: int, created_at: datetime) -> Statement:
    """The lineage row, which marks a slice as complete."""
    return Statement(
        f"INSERT INTO {LINEAGE.sql} (VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT, DEFINITION_SHA256, SOURCES_SHA256, SOURCES, "
        "RUN_ID, ROW_COUNT, CREATED_AT) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            plan.view,
            plan.version,
            plan.as_of,
            known_at,
            plan.definition_sha256,
            plan.sources_sha256,
            plan.sources,
            run_id,
            rows,
            created_at,
        ),
    )


def create_current_view(pipeline: str, query: str) -> Statement:
    """The view with every entity's features at the run's logical date, as arguments for the SQL function."""
    return Statement(f"CREATE OR REPLACE VIEW {current_view(pipeline).sql} AS\n{query}")


def current_view(pipeline: str) -> Name:
    """``FEATURE_STORE.<PIPELINE>_FEATURES``."""
    return Name.of(SCHEMA, f"{pipeline.upper().replace('-', '_')}_FEATURES")


def forget_lineage(run_id: str) -> Statement:
    """Delete the lineage of the slices that a run wrote, so that they are incomplete."""
    return Statement(f"DELETE FROM {LINEAGE.sql} WHERE RUN_ID = ?", (run_id,))


def find_slices(view: str, version: int) -> Statement:
    """Every finished slice of a view's version with its digests, ascending by as-of time and then ``KNOWN_AT``."""
    return Statement(
        f"SELECT AS_OF, KNOWN_AT, ROW_COUNT, DEFINITION_SHA256, SOURCES_SHA256 FROM {LINEAGE.sql} "
        "WHERE VIEW_NAME = ? AND FEATURE_VERSION = ? ORDER BY AS_OF, KNOWN_AT",
        (view, version),
    )
