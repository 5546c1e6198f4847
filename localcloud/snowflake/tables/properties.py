"""Properties of tables and views that DuckDB does not store: OBJECT and ARRAY columns, and TRANSIENT."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path


class TableProperties(State):
    """``nested_types``: OBJECT or ARRAY, by column; ``transient``: tables created with TRANSIENT."""

    def __init__(self) -> None:
        self.nested_types: dict[Path, Mapping[str, str]] = {}
        self.transient: set[Path] = set()
