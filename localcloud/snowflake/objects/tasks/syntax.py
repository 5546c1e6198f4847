"""Statements of tasks, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateTask(Creation):
    """``options`` by name, as written; ``when`` and ``body`` are SQL texts."""

    options: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[Name, ...] = ()
    when: str | None = None
    body: str = ""


@dataclass(frozen=True)
class ExecuteTask(Statement):
    name: Name
    retry_last: bool = False


@dataclass(frozen=True)
class SystemCall(Statement):
    """``CALL SYSTEM$NAME('text')``, with which a task's body sets its return value."""

    function: str
    arguments: tuple[str, ...]
