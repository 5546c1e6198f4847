"""User-defined functions of every kind as schema objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from localcloud.snowflake.objects.store import SchemaObject
from localcloud.snowflake.objects.user_functions.syntax import CreateRoutine
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter


class FunctionRegistry(Protocol):
    """Registers the DuckDB functions that call functions of one kind."""

    def add(self, function: Any) -> None:
        """Register a function, replacing an earlier definition."""

    def remove(self, function: Any) -> None: ...


@dataclass(eq=False, kw_only=True)
class UserFunction(SchemaObject, ABC):
    """One overload; each language has a subclass. ``language`` is the value in SHOW FUNCTIONS."""

    registry: FunctionRegistry
    definition: CreateRoutine

    language: ClassVar[str]
    external: ClassVar[bool] = False

    @property
    def optional(self) -> int:
        """The number of trailing arguments that have defaults."""
        return 0

    @property
    def types(self) -> tuple[str, ...]:
        return self.definition.types

    @abstractmethod
    def alter(self, session: Session, statement: Alter) -> None:
        """Change properties other than the comment. Raises for properties that this kind of function lacks."""

    @abstractmethod
    def properties(self, session: Session) -> list[list[str | None]]:
        """The rows of DESCRIBE FUNCTION."""
