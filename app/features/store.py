"""The feature store's tables: one for each view, keyed by entity, AS_OF, FEATURE_VERSION and KNOWN_AT; and the lineage.

A *slice* is the rows of one view at one as-of time, computed from one state of the sources. Its row in ``FEATURE_LINEAGE`` is
written last: a slice without that row is incomplete and is written again. So is a slice whose rows are not those that its lineage
counted.

All writes are MERGE by key, one statement for many slices. Snowflake runs one MERGE into a table at a time, so two processes that
write the same slice leave its rows once; INSERT takes no lock and would leave them twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.errors import CallerError
from app.ownership import comment
from app.ports import ColumnType
from app.sql import Name, Statement, columns, identifier, literal

SCHEMA = "FEATURE_STORE"
LINEAGE = Name.of(SCHEMA, "FEATURE_LINEAGE")

#: The names of its own tables and views, which no view may have.
OWN_TABLES = ("FEATURE_LINEAGE", "TILE_LINEAGE", "FEATURE_VIEWS", "FEATURE_CATALOG", "ERASURES")

#: Columns of a view's table that are not features.
AS_OF, VERSION, KNOWN_AT, CREATED_AT = "AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT"
RESERVED = (AS_OF, VERSION, KNOWN_AT, CREATED_AT)
#: The time of a row of a spine, in the table of its labels.
ROW_TIME = "ROW_TIME"

#: Slices that one statement writes, at most. Snowflake compiles their queries as one.
SLICES_PER_STATEMENT = 32
#: ... and characters of their queries; Snowflake takes statements of up to 1 MB.
STATEMENT_CHARACTERS = 600_000

#: The type of a feature's column by the kind of its values.
STORED_AS = {"number": "FLOAT", "boolean": "BOOLEAN", "text": "VARCHAR"}

_LINEAGE = {
    "VIEW_NAME": "VARCHAR",
    "FEATURE_VERSION": "NUMBER",
    "AS_OF": "TIMESTAMP_NTZ",
    "KNOWN_AT": "TIMESTAMP_NTZ",
    "DEFINITION_SHA256": "VARCHAR",
    "SOURCES_SHA256": "VARCHAR",
    "SOURCES": "VARCHAR",
    "RUN_ID": "VARCHAR",
    "ROW_COUNT": "NUMBER",
    "CREATED_AT": "TIMESTAMP_NTZ",
}
#: Columns that the lineage of earlier versions lacks. NULL_COUNTS: for each feature the rows of the slice in which it is NULL.
#: REMOVED_AT: when the rows of a slice were removed; NULL for a slice that is in the store.
_LINEAGE_LATER = {"NULL_COUNTS": "VARIANT", "REMOVED_AT": "TIMESTAMP_NTZ"}
#: The columns that identify a slice.
_SLICE = ("VIEW_NAME", "FEATURE_VERSION", "AS_OF", "KNOWN_AT")

CREATE_LINEAGE = Statement(
    f"CREATE TABLE IF NOT EXISTS {LINEAGE.sql} (\n    "
    + ",\n    ".join(
        [
            *(f"{name} {kind} NOT NULL" for name, kind in _LINEAGE.items()),
            *(f"{name} {kind}" for name, kind in _LINEAGE_LATER.items()),
        ]
    )
    + "\n)"
)

#: Adds the columns that a lineage of an earlier version lacks.
ADAPT_LINEAGE = Statement(
    f"ALTER TABLE {LINEAGE.sql} ADD COLUMN "
    + ", ".join(f"IF NOT EXISTS {name} {kind}" for name, kind in _LINEAGE_LATER.items())
)


@dataclass(frozen=True)
class Slice:
    """Rows of one view at one time. ``known_at`` distinguishes slices from different states of the sources.

    ``available``: from when production could have read a slice that was computed long after its time; None: since ``known_at``.
    """

    view: str
    version: int
    as_of: datetime
    known_at: datetime
    rows: int
    available: datetime | None = None

    @property
    def available_at(self) -> datetime:
        """The time from which the slice is taken as known."""
        return self.known_at if self.available is None else self.available


@dataclass(frozen=True)
class ViewVersion:
    """One version of a view, the columns that identify a row of one of its slices, and its features, where they are needed."""

    view: str
    version: int
    key: tuple[str, ...]
    features: tuple[str, ...] = ()


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


def create_view_table(view: str, key: dict[str, str], features: tuple[ColumnType, ...], pipeline: str) -> Statement:
    """The view's table, owned by ``pipeline``, clustered so that a statement about a slice reads no others.

    The key is declared for readers; Snowflake does not enforce it, so the stage checks it.
    """
    typed = [f"{identifier(name)} {kind} NOT NULL" for name, kind in key.items()]
    typed += [f"{AS_OF} TIMESTAMP_NTZ NOT NULL", f"{VERSION} NUMBER NOT NULL", f"{KNOWN_AT} TIMESTAMP_NTZ NOT NULL"]
    typed += [f"{CREATED_AT} TIMESTAMP_NTZ NOT NULL"]
    typed += [f"{identifier(feature.name)} {STORED_AS[feature.kind]}" for feature in features]
    return Statement(
        f"CREATE TABLE IF NOT EXISTS {view_table(view).sql} (\n    "
        + ",\n    ".join(typed)
        + f",\n    PRIMARY KEY ({columns([*key])}, {AS_OF}, {VERSION}, {KNOWN_AT})\n)\n"
        f"CLUSTER BY ({AS_OF}, {VERSION})\n"
        f"COMMENT = {literal(table_comment(pipeline))}"
    )


def table_comment(pipeline: str) -> str:
    """The comment of a view's or the label's table."""
    return comment(pipeline, "slices of a feature view or label")


def add_columns(view: str, present: tuple[ColumnType, ...], features: tuple[ColumnType, ...]) -> list[Statement]:
    """The columns that a table of an earlier version lacks. Raises CallerError for a feature whose type changed."""
    kinds = {column.name: column.kind for column in present}
    if changed := [feature.name for feature in features if kinds.get(feature.name, feature.kind) != feature.kind]:
        raise CallerError(
            f"view {view}: {', '.join(changed)} has another type than in {view_table(view)}; give it another name"
        )
    return [
        Statement(f"ALTER TABLE {view_table(view).sql} ADD COLUMN {identifier(feature.name)} {STORED_AS[feature.kind]}")
        for feature in features
        if feature.name not in kinds
    ]


def statement_parts(missing: tuple[SlicePlan, ...]) -> list[tuple[SlicePlan, ...]]:
    """The slices of one view in the groups that one statement writes."""
    parts: list[list[SlicePlan]] = []
    length = 0
    for part in missing:
        length += len(part.query)
        if not parts or len(parts[-1]) == SLICES_PER_STATEMENT or length > STATEMENT_CHARACTERS:
            parts.append([])
            length = len(part.query)
        parts[-1].append(part)
    return [tuple(part) for part in parts]


def remove_slices(parts: tuple[SlicePlan, ...], known_at: datetime) -> Statement:
    """Delete what an earlier attempt wrote of one view's slices."""
    table, times = view_table(parts[0].view).sql, ", ".join("?" for _ in parts)
    return Statement(
        f"DELETE FROM {table} WHERE {VERSION} = ? AND {KNOWN_AT} = ? AND {AS_OF} IN ({times})",
        (parts[0].version, known_at, *(part.as_of for part in parts)),
    )


def write_slices(
    parts: tuple[SlicePlan, ...],
    key: tuple[str, ...],
    features: tuple[str, ...],
    known_at: datetime,
    created_at: datetime,
) -> Statement:
    """Write the rows of slices of one view by one statement: each slice's own query, cut at its own time."""
    table, selected = view_table(parts[0].view).sql, columns([*key, *features])
    values = columns([CREATED_AT, *features])
    named = (*key, AS_OF, VERSION, KNOWN_AT)
    same_row = " AND ".join(f"t.{identifier(name)} = s.{identifier(name)}" for name in named)
    rows = "\nUNION ALL\n".join(
        f"SELECT ?::TIMESTAMP_NTZ AS {AS_OF}, {selected} FROM (\n{part.query}\n)" for part in parts
    )
    return Statement(
        f"MERGE INTO {table} AS t\n"
        f"USING (SELECT ?::NUMBER AS {VERSION}, ?::TIMESTAMP_NTZ AS {KNOWN_AT}, ?::TIMESTAMP_NTZ AS {CREATED_AT}, "
        f"{AS_OF}, {selected} FROM (\n{rows}\n)) AS s\nON {same_row}\n"
        f"WHEN MATCHED THEN UPDATE SET {_assignments((CREATED_AT, *features))}\n"
        f"WHEN NOT MATCHED THEN INSERT ({columns(named)}, {values}) VALUES ({_of_source((*named, CREATED_AT, *features))})",
        (parts[0].version, known_at, created_at, *(part.as_of for part in parts)),
    )


def _assignments(names: tuple[str, ...]) -> str:
    return ", ".join(f"{identifier(name)} = s.{identifier(name)}" for name in names)


def _of_source(names: tuple[str, ...]) -> str:
    return ", ".join(f"s.{identifier(name)}" for name in names)


def count_slices(views: Sequence[ViewVersion], known_at: datetime, first: datetime, last: datetime) -> Statement:
    """(view, as-of time, rows, distinct entities, NULLs of each feature) of each slice from ``first`` to ``last``.

    Rows and entities must be equal.
    """
    return Statement(
        "\nUNION ALL\n".join(
            f"SELECT {literal(each.view)} AS VIEW_NAME, {AS_OF}, COUNT(*) AS STORED, "
            f"COUNT(DISTINCT {columns(each.key)}) AS ENTITIES,\n    {_null_counts(each.features)} AS NULLS\n"
            f"FROM {view_table(each.view).sql}\n"
            f"WHERE {VERSION} = ? AND {KNOWN_AT} = ? AND {AS_OF} BETWEEN ? AND ? GROUP BY {AS_OF}"
            for each in views
        ),
        tuple(bind for each in views for bind in (each.version, known_at, first, last)),
    )


def _null_counts(features: Sequence[str]) -> str:
    pairs = (f"{literal(name)}, COUNT_IF({identifier(name)} IS NULL)" for name in features)
    return f"OBJECT_CONSTRUCT({', '.join(pairs)})"


@dataclass(frozen=True)
class Counts:
    """What was counted in a slice. ``nulls``: for each feature, the rows in which it is NULL."""

    rows: int
    entities: int
    nulls: Mapping[str, int]


def write_lineage(
    parts: tuple[SlicePlan, ...],
    run_id: str,
    known_at: datetime,
    counted: Mapping[tuple[str, datetime], Counts],
    created_at: datetime,
) -> Statement:
    """The lineage rows of slices, which mark them as complete. A slice has one row, which a second write replaces.

    ``counted``: the counts of each view at each as-of time.
    """
    slices = [
        {
            "VIEW_NAME": part.view,
            "FEATURE_VERSION": part.version,
            "AS_OF": part.as_of.isoformat(sep=" "),
            "DEFINITION_SHA256": part.definition_sha256,
            "SOURCES_SHA256": part.sources_sha256,
            "SOURCES": part.sources,
            "ROW_COUNT": counted[part.view, part.as_of].rows,
            "NULL_COUNTS": counted[part.view, part.as_of].nulls,
        }
        for part in parts
    ]
    common, columns_of = {"KNOWN_AT", "RUN_ID", "CREATED_AT"}, _LINEAGE | _LINEAGE_LATER
    values = ", ".join(
        f"?::{kind} AS {name}" if name in common else f"f.VALUE:{name}::{kind} AS {name}"
        for name, kind in columns_of.items()
    )
    changed = ", ".join(f"{name} = s.{name}" for name in columns_of if name not in _SLICE)
    return Statement(
        f"MERGE INTO {LINEAGE.sql} AS t\n"
        f"USING (SELECT {values} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s\n"
        f"ON {' AND '.join(f't.{name} = s.{name}' for name in _SLICE)}\n"
        f"WHEN MATCHED THEN UPDATE SET {changed}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(columns_of)}) VALUES ({', '.join(f's.{name}' for name in columns_of)})",
        (known_at, run_id, created_at, json.dumps(slices)),
    )


def create_current_view(pipeline: str, query: str, *, replaces: bool = False) -> Statement:
    """The view with every entity's features at the run's logical date, as arguments for the SQL function.

    ``replaces``: it exists, and keeps its grants. A new view gets the schema's future grants, which COPY GRANTS would prevent.
    """
    described = literal(comment(pipeline, "features of every entity at the latest run's logical date"))
    kept = "COPY GRANTS " if replaces else ""
    return Statement(f"CREATE OR REPLACE VIEW {current_view(pipeline).sql} {kept}COMMENT = {described} AS\n{query}")


def current_view(pipeline: str) -> Name:
    """``FEATURE_STORE.<PIPELINE>_FEATURES``."""
    return Name.of(SCHEMA, f"{pipeline.upper().replace('-', '_')}_FEATURES")


def forget_lineage(run_id: str) -> Statement:
    """Delete the lineage of the slices that a run wrote, so that they are incomplete."""
    return Statement(f"DELETE FROM {LINEAGE.sql} WHERE RUN_ID = ?", (run_id,))


def lineage_is_old(present: Sequence[ColumnType]) -> bool:
    """Whether a lineage with these columns was made by an earlier version; ADAPT_LINEAGE adds what it lacks."""
    return not {*_LINEAGE_LATER} <= {column.name for column in present}


def find_slices(views: Sequence[ViewVersion], *, old_lineage: bool = False) -> Statement:
    """Every finished slice of each view's version with its digests, ascending by view, as-of time and ``KNOWN_AT``.

    The first column is the view's name. INTACT: whether the table holds the rows that the lineage counted, each entity once.
    REMOVED_AT: when its rows were removed. ``old_lineage``: it cannot say that.
    """
    stored = "\n    UNION ALL ".join(
        f"SELECT {literal(each.view)} AS VIEW_NAME, {AS_OF}, {KNOWN_AT}, COUNT(*) AS STORED, "
        f"COUNT(DISTINCT {columns(each.key)}) AS ENTITIES\n"
        f"    FROM {view_table(each.view).sql} WHERE {VERSION} = {each.version} GROUP BY {AS_OF}, {KNOWN_AT}"
        for each in views
    )
    wanted = " OR ".join("(l.VIEW_NAME = ? AND l.FEATURE_VERSION = ?)" for _ in views)
    removed = "NULL::TIMESTAMP_NTZ" if old_lineage else "l.REMOVED_AT"
    return Statement(
        f"""SELECT l.VIEW_NAME, l.AS_OF, l.KNOWN_AT, l.ROW_COUNT, l.DEFINITION_SHA256, l.SOURCES_SHA256,
    COALESCE(l.ROW_COUNT = t.STORED AND l.ROW_COUNT = t.ENTITIES, FALSE) AS INTACT,
    {removed} AS REMOVED_AT
FROM {LINEAGE.sql} AS l
LEFT JOIN (
    {stored}
) AS t ON t.VIEW_NAME = l.VIEW_NAME AND t.AS_OF = l.AS_OF AND t.KNOWN_AT = l.KNOWN_AT
WHERE {wanted} ORDER BY l.VIEW_NAME, l.AS_OF, l.KNOWN_AT""",
        tuple(bind for each in views for bind in (each.view, each.version)),
    )
