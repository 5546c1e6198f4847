"""What CREATE statements of functions and procedures of every language declare."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.snowflake.sql.syntax import Argument, Creation, Type

_TEXT = Type("VARCHAR")


@dataclass(frozen=True)
class CreateRoutine(Creation):
    """CREATE FUNCTION or CREATE PROCEDURE. ``strict``: RETURNS NULL ON NULL INPUT."""

    arguments: tuple[Argument, ...] = ()
    returns: Type = _TEXT
    not_null: bool = False
    strict: bool = False
    immutable: bool = False
    secure: bool = False

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
        return str(self.returns)

    def described(self, language: str) -> list[list[str | None]]:
        """The first rows of DESCRIBE, which are the same for every language."""
        return [
            ["signature", self.signature],
            ["returns", f"{self.returned}{' NOT NULL' if self.not_null else ''}"],
            ["language", language],
            ["null handling", "RETURNS NULL ON NULL INPUT" if self.strict else "CALLED ON NULL INPUT"],
            ["volatility", "IMMUTABLE" if self.immutable else "VOLATILE"],
        ]
