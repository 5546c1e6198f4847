"""The state of a pipeline's sources: the number of rows before a time, and a hash over them.

The state identifies runs and slices: equal states give equal features, and late rows give a new state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.errors import CallerError
from app.features.views import cut_query
from app.ports import Warehouse
from app.spec.schema import Source
from app.sql import Name, Statement


def source_state(warehouse: Warehouse, sources: Mapping[str, Source], cut: datetime) -> dict[str, dict[str, Any]]:
    """For each source: its table, and the number and hash of its rows before ``cut``."""
    return {name: _state(warehouse, source, cut) for name, source in sources.items()}


def check_sources(warehouse: Warehouse, sources: Mapping[str, Source]) -> None:
    """Raise CallerError for a source without its event-time column, NotFound for a table that does not exist."""
    for name, source in sources.items():
        columns = warehouse.describe(f"SELECT * FROM {Name.parse(source.table).sql}")
        names = [column.name for column in columns]
        if source.event_time not in names:
            raise CallerError(
                f"sources.{name}: {source.table} has no column {source.event_time}; its columns are {', '.join(names)}"
            )
        if next(column.kind for column in columns if column.name == source.event_time) != "time":
            raise CallerError(f"sources.{name}: {source.event_time} must be a DATE or TIMESTAMP column")


def _state(warehouse: Warehouse, source: Source, cut: datetime) -> dict[str, Any]:
    found = warehouse.run(Statement(f"SELECT COUNT(*), HASH_AGG(*) FROM ({cut_query(source, cut)})"))
    rows, hashed = found.rows[0]
    return {"table": source.table, "rows": int(rows), "hash": str(hashed), "before": cut.isoformat()}
