"""Statements of functions and procedures with handlers, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.objects.user_functions.syntax import CreateRoutine
from localcloud.snowflake.sql.syntax import Argument, Name, StagePath, Statement


@dataclass(frozen=True)
class Code:
    """Code of a routine. ``body`` is the inline code, or ``None`` if the handler's module is among the imports."""

    handler: str
    runtime: str
    body: str | None = None
    packages: tuple[str, ...] = ()
    imports: tuple[StagePath, ...] = ()


@dataclass(frozen=True)
class Routine(CreateRoutine):
    """A function or procedure with a handler. ``defaults``: SQL of the default values of the last arguments. ``table``: the
    columns of RETURNS TABLE."""

    defaults: tuple[str, ...] = ()
    table: tuple[Argument, ...] | None = None
    code: Code = Code("", "")

    @property
    def returned(self) -> str:
        if self.table is None:
            return super().returned
        return f"TABLE ({', '.join(f'{column.name} {column.type}' for column in self.table)})"


@dataclass(frozen=True)
class CreateFunction(Routine):
    """``CREATE FUNCTION ... LANGUAGE PYTHON``."""


@dataclass(frozen=True)
class CreateProcedure(Routine):
    """``CREATE PROCEDURE ... LANGUAGE PYTHON``. ``as_caller`` runs it with caller's rights."""

    as_caller: bool = False


@dataclass(frozen=True)
class Call(Statement):
    """``CALL name(arguments)`` with the SQL of the arguments. ``anonymous`` is a procedure defined by WITH for this
    call only."""

    name: Name
    arguments: str
    anonymous: CreateProcedure | None = None
