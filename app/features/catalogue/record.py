"""``FEATURE_VIEWS``, a row for each view and version with its definition, and ``FEATURE_CATALOG``, a row for each feature.

The features stage writes a row when a view is new or what it says has changed. The first pipeline's name, user and time are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from app.features import store
from app.features.catalogue.lineage import UNKNOWN, Origin
from app.ports import Row
from app.runs.identity import digest
from app.runs.ledger import LEDGER
from app.sql import Name, Statement, literal

VIEWS = Name.of(store.SCHEMA, "FEATURE_VIEWS")
CATALOG = Name.of(store.SCHEMA, "FEATURE_CATALOG")

_COLUMNS = {
    "VIEW_NAME": "VARCHAR",
    "FEATURE_VERSION": "NUMBER",
    "KIND": "VARCHAR",
    "ENTITY": "ARRAY",
    "OWNER": "VARCHAR",
    "DESCRIPTION": "VARCHAR",
    "TTL_SECONDS": "NUMBER",
    "DEFINE": "VARCHAR",
    "DEFINITION": "VARCHAR",
    "QUERY_SHAPE": "VARCHAR",
    "SOURCES": "VARIANT",
    "FEATURES": "ARRAY",
    "DEFINITION_SHA256": "VARCHAR",
    "RECORD_SHA256": "VARCHAR",
}
#: What the first write of a row says, and later ones keep.
_FIRST = {"PIPELINE": "VARCHAR", "CREATED_BY": "VARCHAR", "CREATED_AT": "TIMESTAMP_NTZ"}
_KEY = ("VIEW_NAME", "FEATURE_VERSION")
_OPTIONAL = {"OWNER", "DESCRIPTION", "TTL_SECONDS"}

CREATE_VIEWS = Statement(
    f"CREATE TABLE IF NOT EXISTS {VIEWS.sql} (\n    "
    + ",\n    ".join(
        f"{name} {kind}{'' if name in _OPTIONAL else ' NOT NULL'}" for name, kind in (_COLUMNS | _FIRST).items()
    )
    + f",\n    PRIMARY KEY ({', '.join(_KEY)})\n)\nCOMMENT = 'snowsage: definitions of feature views, a row for each version'"
)


@dataclass(frozen=True)
class WrittenDefinition:
    """A definition as it is in the pipeline's folder. ``define``: file, or file and function. ``text``: as its author wrote it.

    ``query``: its query without times, as ``query_shape`` writes it. ``tables``: the table of each source that it reads, by short
    name.
    """

    define: str
    text: str
    query: str
    tables: Mapping[str, str]


@dataclass(frozen=True)
class StoredDefinition:
    """What the store knows of a view's definition. ``record_sha256``: digest of the whole row."""

    define: str
    text: str
    query: str
    tables: Mapping[str, str]
    record_sha256: str


@dataclass(frozen=True)
class FeatureRecord:
    """One feature of a view: its name, the type of its column, and where it comes from; None if that was not traced."""

    name: str
    kind: str
    origin: Origin | None = None


@dataclass(frozen=True)
class ViewRecord:
    """A row of FEATURE_VIEWS. ``ttl_s``: seconds; None if its slices do not expire."""

    view: str
    version: int
    kind: Literal["view", "label"]
    entity: tuple[str, ...]
    owner: str | None
    description: str | None
    ttl_s: int | None
    definition: WrittenDefinition
    features: tuple[FeatureRecord, ...]

    @property
    def sha256(self) -> str:
        """Digest of what the row says. The features' origins follow from it, and are not part of it."""
        return digest(asdict(replace(self, features=tuple(replace(each, origin=None) for each in self.features))))

    def to_row(self) -> dict[str, Any]:
        """The values of the columns."""
        written = self.definition
        return {
            "VIEW_NAME": self.view,
            "FEATURE_VERSION": self.version,
            "KIND": self.kind,
            "ENTITY": self.entity,
            "OWNER": self.owner,
            "DESCRIPTION": self.description,
            "TTL_SECONDS": self.ttl_s,
            "DEFINE": written.define,
            "DEFINITION": written.text,
            "QUERY_SHAPE": written.query,
            "SOURCES": written.tables,
            "FEATURES": [_described(feature) for feature in self.features],
            "DEFINITION_SHA256": digest([written.query, dict(written.tables)]),
            "RECORD_SHA256": self.sha256,
        }


def _described(feature: FeatureRecord) -> dict[str, Any]:
    origin = feature.origin or Origin((), None, UNKNOWN)
    return {
        "name": feature.name,
        "type": feature.kind,
        "source_tables": origin.tables,
        "source_columns": origin.columns,
        "transformation": origin.transformation,
    }


def find_definitions(views: Sequence[tuple[str, int]]) -> Statement:
    """The stored definitions of views' versions; :func:`read_definitions` reads the rows."""
    wanted = " OR ".join("(VIEW_NAME = ? AND FEATURE_VERSION = ?)" for _ in views)
    return Statement(
        "SELECT VIEW_NAME, FEATURE_VERSION, DEFINE, DEFINITION, QUERY_SHAPE, SOURCES, RECORD_SHA256 "
        f"FROM {VIEWS.sql} WHERE {wanted}",
        tuple(bind for each in views for bind in each),
    )


def read_definitions(rows: Sequence[Row]) -> dict[tuple[str, int], StoredDefinition]:
    """The rows of :func:`find_definitions`, by view and version."""
    return {
        (str(view), int(version)): StoredDefinition(define, text, query, json.loads(tables), sha256)
        for view, version, define, text, query, tables, sha256 in rows
    }


def write_records(records: Sequence[ViewRecord], pipeline: str, created_at: datetime) -> Statement:
    """Write rows of FEATURE_VIEWS; a row that exists keeps its first pipeline, user and time."""
    named = [*_COLUMNS, *_FIRST]
    values = ", ".join(f"f.VALUE:{name}::{kind} AS {name}" for name, kind in _COLUMNS.items())
    first = "?::VARCHAR AS PIPELINE, CURRENT_USER() AS CREATED_BY, ?::TIMESTAMP_NTZ AS CREATED_AT"
    return Statement(
        f"MERGE INTO {VIEWS.sql} AS t\n"
        f"USING (SELECT {values}, {first} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s\n"
        f"ON {' AND '.join(f't.{name} = s.{name}' for name in _KEY)}\n"
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{name} = s.{name}' for name in _COLUMNS if name not in _KEY)}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(named)}) VALUES ({', '.join(f's.{name}' for name in named)})",
        (pipeline, created_at, json.dumps([record.to_row() for record in records])),
    )


#: A row for each feature of each view and version: what it is, how fresh, how often NULL in the latest slice, and who uses it.
CATALOG_QUERY = f"""WITH latest AS (
    SELECT VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT, ROW_COUNT, NULL_COUNTS
    FROM {store.LINEAGE.sql} WHERE REMOVED_AT IS NULL
    QUALIFY ROW_NUMBER() OVER (PARTITION BY VIEW_NAME, FEATURE_VERSION ORDER BY AS_OF DESC, KNOWN_AT DESC) = 1
), uses AS (
    SELECT s.VALUE:view::VARCHAR AS VIEW_NAME, s.VALUE:version::NUMBER AS FEATURE_VERSION,
        ARRAY_AGG(DISTINCT r.PIPELINE) AS USED_BY, MAX(r.FINISHED_AT) AS LAST_USED_AT
    FROM {LEDGER.sql} AS r, LATERAL FLATTEN(INPUT => PARSE_JSON(r.RESULT):slices) AS s
    WHERE r.STAGE = 'features' GROUP BY 1, 2
), features AS (
    SELECT v.*, f.VALUE AS FEATURE, f.INDEX AS POSITION FROM {VIEWS.sql} AS v, LATERAL FLATTEN(INPUT => v.FEATURES) AS f
)
SELECT f.FEATURE:name::VARCHAR AS FEATURE_NAME, f.VIEW_NAME, f.FEATURE_VERSION, f.KIND, f.FEATURE:type::VARCHAR AS DATA_TYPE,
    f.ENTITY, f.OWNER, f.DESCRIPTION, f.TTL_SECONDS, f.FEATURE:source_tables::ARRAY AS SOURCE_TABLES,
    f.FEATURE:source_columns::ARRAY AS SOURCE_COLUMNS, f.FEATURE:transformation::VARCHAR AS TRANSFORMATION_LOGIC,
    f.DEFINE, f.PIPELINE, f.CREATED_BY, f.CREATED_AT, l.AS_OF AS LAST_AS_OF, l.KNOWN_AT AS LAST_KNOWN_AT, l.ROW_COUNT,
    GET(l.NULL_COUNTS, f.FEATURE:name::VARCHAR)::FLOAT / NULLIF(l.ROW_COUNT, 0) AS NULL_RATE, u.USED_BY, u.LAST_USED_AT,
    f.POSITION
FROM features AS f
LEFT JOIN latest AS l ON l.VIEW_NAME = f.VIEW_NAME AND l.FEATURE_VERSION = f.FEATURE_VERSION
LEFT JOIN uses AS u ON u.VIEW_NAME = f.VIEW_NAME AND u.FEATURE_VERSION = f.FEATURE_VERSION"""

CREATE_CATALOG = Statement(
    f"CREATE VIEW IF NOT EXISTS {CATALOG.sql} COMMENT = "
    f"{literal('snowsage: features with their origin, freshness and use')} AS\n{CATALOG_QUERY}"
)
