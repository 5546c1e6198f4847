"""What DuckDB does not keep of tables and views: which JSON columns are OBJECT or ARRAY, and TRANSIENT."""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path


class TableProperties(State):
    """``nested_types``: OBJECT or ARRAY, by column; ``transient``: tables created with TRANSIENT."""

    def __init__(self) -> None:
        self.nested_types: dict[Path, Mapping[str, str]] = {}
        self.transient: set[Path] = set()
