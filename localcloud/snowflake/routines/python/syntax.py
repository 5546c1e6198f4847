"""Statements of functions and procedures with handlers, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Argument, Creation, Name, StagePath, Statement, Type

_TEXT = Type("VARCHAR")


@dataclass(frozen=True)
class Code:
    """Code of a routine. ``body`` is the inline code, or ``None`` if the handler's module is among the imports."""

    handler: str
    runtime: str
    body: str | None = None
    packages: tuple[str, ...] = ()
    imports: tuple[StagePath, ...] = ()


@dataclass(frozen=True)
class Routine(Creation):
    """Fields that functions and procedures share. ``defaults`` holds the SQL of the default values of the last
    arguments."""

    arguments: tuple[Argument, ...] = ()
    defaults: tuple[str, ...] = ()
    returns: Type = _TEXT
    table: tuple[Argument, ...] | None = None
    not_null: bool = False
    strict: bool = False
    immutable: bool = False
    secure: bool = False
    code: Code = Code("", "")

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(argument.type.name for argument in self.arguments)

    @property
    def signature(self) -> str:
        """``(A FLOAT, B VARCHAR)``, as Snowflake returns it."""
        return f"({', '.join(f'{argument.name} {argument.type.name}' for argument in self.arguments)})"

    @property
    def returned(self) -> str:
        """The return type as DESCRIBE shows it."""
        if self.table is None:
            return str(self.returns)
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
