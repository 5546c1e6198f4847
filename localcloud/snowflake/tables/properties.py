"""Properties of tables and views that DuckDB does not store: OBJECT and ARRAY columns, TRANSIENT, and CLUSTER BY."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path


class TableProperties(State):
    """``nested_types``: OBJECT or ARRAY, by column; ``transient``: tables created with TRANSIENT; ``clustering``: the text in the
    parentheses of CLUSTER BY."""

    def __init__(self) -> None:
        self.nested_types: dict[Path, Mapping[str, str]] = {}
        self.transient: set[Path] = set()
        self.clustering: dict[Path, str] = {}

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        nested = [[path, dict(columns)] for path, columns in self.nested_types.items()]
        clustering = [[path, text] for path, text in self.clustering.items()]
        return {"nested_types": nested, "transient": sorted(self.transient), "clustering": clustering}

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        self.nested_types.update({_path(path): columns for path, columns in saved["nested_types"]})
        self.transient.update(map(_path, saved["transient"]))
        self.clustering.update({_path(path): text for path, text in saved.get("clustering", [])})


def _path(parts: list[str]) -> Path:
    database, schema, name = parts
    return database, schema, name
