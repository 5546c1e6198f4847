"""Reads the catalogue: every feature of the store, or all versions of one view."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import NotFound
from app.features.catalogue.record import CATALOG_QUERY, VIEWS
from app.ports import Row, Warehouse
from app.sql import Name, Statement

_FIELDS = (
    "VIEW_NAME", "FEATURE_VERSION", "FEATURE_NAME", "DATA_TYPE", "ENTITY", "OWNER", "DESCRIPTION", "TTL_SECONDS", "SOURCE_TABLES",
    "SOURCE_COLUMNS", "TRANSFORMATION_LOGIC", "DEFINE", "PIPELINE", "CREATED_BY", "CREATED_AT", "LAST_AS_OF", "LAST_KNOWN_AT",
    "ROW_COUNT", "NULL_RATE", "USED_BY", "LAST_USED_AT",
)  # fmt: skip


@dataclass(frozen=True)
class ListedFeature:
    """A feature of one version of a view. ``source_columns``: None if they are unknown. ``last_as_of`` to ``null_rate``: of its
    latest slice; None if there is none, or none that counted NULLs. ``used_by``: the pipelines whose runs used the version.
    """

    view: str
    version: int
    feature: str
    type: str
    entity: tuple[str, ...]
    owner: str | None
    description: str | None
    ttl_s: int | None
    source_tables: tuple[str, ...]
    source_columns: tuple[str, ...] | None
    transformation: str
    define: str
    pipeline: str
    created_by: str
    created_at: datetime
    last_as_of: datetime | None
    last_known_at: datetime | None
    rows: int | None
    null_rate: float | None
    used_by: tuple[str, ...]
    last_used_at: datetime | None


@dataclass(frozen=True)
class ShownVersion:
    """One version of a view: its features, its definition as written, and the query that it makes, without times."""

    view: str
    version: int
    definition: str
    query: str
    features: tuple[ListedFeature, ...]


def list_features(warehouse: Warehouse, view: str | None = None) -> list[ListedFeature]:
    """The features of all views, or of ``view``, ordered by view, version and position. Empty if no stage has written any."""
    chosen = "" if view is None else " AND VIEW_NAME = ?"
    query = (
        f"SELECT {', '.join(_FIELDS)} FROM (\n{CATALOG_QUERY}\n)\nWHERE KIND = 'view'{chosen} "
        "ORDER BY VIEW_NAME, FEATURE_VERSION, POSITION"
    )
    try:
        rows = warehouse.run(Statement(query, () if view is None else (view,))).rows
    except NotFound:
        return []  # no features stage has run yet
    return [_feature(row) for row in rows]


def show_view(warehouse: Warehouse, view: str) -> list[ShownVersion]:
    """The versions of a view, ascending. Raises NotFound for a view that the store does not know, with those that it knows."""
    name = Name.parse(view).last
    features = list_features(warehouse, name)
    if not features:
        known = sorted({feature.view for feature in list_features(warehouse)})
        raise NotFound(
            f"the feature store has no view {name}; "
            + (f"its views are {', '.join(known)}" if known else "`snowsage features PIPELINE` writes the first")
        )
    query = (
        f"SELECT FEATURE_VERSION, DEFINITION, QUERY_SHAPE FROM {VIEWS.sql} WHERE VIEW_NAME = ? ORDER BY FEATURE_VERSION"
    )
    return [
        ShownVersion(name, int(version), text, shape, _of_version(features, int(version)))
        for version, text, shape in warehouse.run(Statement(query, (name,))).rows
    ]


def _of_version(features: Iterable[ListedFeature], version: int) -> tuple[ListedFeature, ...]:
    return tuple(feature for feature in features if feature.version == version)


def _feature(row: Row) -> ListedFeature:
    value = dict(zip(_FIELDS, row, strict=True))
    return ListedFeature(
        view=value["VIEW_NAME"],
        version=int(value["FEATURE_VERSION"]),
        feature=value["FEATURE_NAME"],
        type=value["DATA_TYPE"],
        entity=_texts(value["ENTITY"]),
        owner=value["OWNER"],
        description=value["DESCRIPTION"],
        ttl_s=None if value["TTL_SECONDS"] is None else int(value["TTL_SECONDS"]),
        source_tables=_texts(value["SOURCE_TABLES"]),
        source_columns=None if value["SOURCE_COLUMNS"] is None else _texts(value["SOURCE_COLUMNS"]),
        transformation=value["TRANSFORMATION_LOGIC"],
        define=value["DEFINE"],
        pipeline=value["PIPELINE"],
        created_by=value["CREATED_BY"],
        created_at=value["CREATED_AT"],
        last_as_of=value["LAST_AS_OF"],
        last_known_at=value["LAST_KNOWN_AT"],
        rows=None if value["ROW_COUNT"] is None else int(value["ROW_COUNT"]),
        null_rate=None if value["NULL_RATE"] is None else float(value["NULL_RATE"]),
        used_by=tuple(sorted(_texts(value["USED_BY"]))),
        last_used_at=value["LAST_USED_AT"],
    )


def _texts(array: Any) -> tuple[str, ...]:
    """An ARRAY of texts, as the connector returns it; empty for NULL."""
    return tuple(json.loads(array)) if array else ()
