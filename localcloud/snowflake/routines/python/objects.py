"""Python functions and procedures as schema objects."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field, replace

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.objects.store import SchemaObject
from localcloud.snowflake.objects.user_functions.function import UserFunction
from localcloud.snowflake.routines.python.runtime import packages
from localcloud.snowflake.routines.python.syntax import CreateFunction, CreateProcedure, Routine
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter

_numbers = itertools.count(1)


@dataclass(eq=False, kw_only=True)
class PythonRoutine(SchemaObject):
    """Fields that functions and procedures share. ``number`` is unique to each version of a definition in the process."""

    definition: Routine
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def types(self) -> tuple[str, ...]:
        return self.definition.types

    def properties(self, session: Session) -> list[list[str | None]]:
        """The rows of DESCRIBE that both kinds share. SECURE hides the code from other roles."""
        definition, code = self.definition, self.definition.code
        hidden = definition.secure and session.role != self.owner
        inside: list[list[str | None]] = [
            ["body", code.body],
            ["imports", _listed([f"@{path.stage}/{path.path}" for path in code.imports])],
            ["handler", code.handler],
            ["runtime_version", code.runtime],
            ["packages", _listed(list(code.packages))],
            ["installed_packages", _listed(packages.resolved(code.packages))],
        ]
        return [
            *definition.described("PYTHON"),
            *([[name, None] for name, _ in inside] if hidden else inside),
        ]


@dataclass(eq=False, kw_only=True)
class PythonFunction(PythonRoutine, UserFunction):
    definition: CreateFunction

    language = "PYTHON"

    @property
    def optional(self) -> int:
        return len(self.definition.defaults)

    @property
    def internal(self) -> str:
        """Name of the internal DuckDB function. It survives CREATE OR REPLACE, so that views keep working."""
        text = "\0".join((*self.path, *self.types, str(self.session_id or "")))
        return f"_python_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def alter(self, _session: Session, statement: Alter) -> None:
        changes = {name: value for name, value in statement.options.items() if name != "COMMENT"}
        if unknown := set(changes) - {"SECURE"}:
            raise unsupported(f"ALTER FUNCTION with {', '.join(sorted(unknown))} for a function in Python")
        if "SECURE" in changes:
            self.definition = replace(self.definition, secure=bool(changes["SECURE"]))

    def properties(self, session: Session) -> list[list[str | None]]:
        return [*super().properties(session), ["is_aggregate", "false"]]


@dataclass(eq=False, kw_only=True)
class Procedure(PythonRoutine):
    definition: CreateProcedure

    def properties(self, session: Session) -> list[list[str | None]]:
        mode = "CALLER" if self.definition.as_caller else "OWNER"
        return [*super().properties(session), ["execute as", mode]]


def _listed(values: list[str]) -> str:
    return json.dumps(values).replace('"', "'")
