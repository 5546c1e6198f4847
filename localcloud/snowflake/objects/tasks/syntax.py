"""The statements about tasks, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from localcloud.snowflake.sql.syntax import Creation, Name, Statement


@dataclass(frozen=True)
class CreateTask(Creation):
    """``options``: by name as written; ``when`` and ``body`` are SQL texts."""

    options: tuple[tuple[str, Any], ...] = ()
    after: tuple[Name, ...] = ()
    when: str | None = None
    body: str = ""


@dataclass(frozen=True)
class AlterTask(Statement):
    """``options``: for SET name and value, for UNSET name and ``None``; ``text``: for MODIFY AS and MODIFY WHEN."""

    name: Name
    action: Literal[
        "RESUME", "SUSPEND", "SET", "UNSET", "ADD AFTER", "REMOVE AFTER", "MODIFY AS", "MODIFY WHEN", "REMOVE WHEN"
    ]
    if_exists: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    after: tuple[Name, ...] = ()
    text: str | None = None


@dataclass(frozen=True)
class ExecuteTask(Statement):
    name: Name
    retry_last: bool = False


@dataclass(frozen=True)
class DescribeTask(Statement):
    name: Name


@dataclass(frozen=True)
class SystemCall(Statement):
    """``CALL SYSTEM$NAME('text')``, the form in which a task's body sets its return value."""

    function: str
    arguments: tuple[str, ...]
