"""External functions as schema objects.

SECURE hides the URL and the headers from every role but the owner's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.integrations.state import Integrations, check_prefix
from localcloud.snowflake.objects.user_functions.function import UserFunction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter


@dataclass(eq=False, kw_only=True)
class ExternalFunction(UserFunction):
    definition: ast.CreateExternalFunction

    language = "EXTERNAL"
    external = True
    takes_future_grants = False

    @property
    def internal(self) -> str:
        """The DuckDB function's name: the same for every replacement of an overload, so that views keep finding it."""
        text = "\0".join((*self.path, *self.types))
        return f"_external_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def alter(self, session: Session, statement: Alter) -> None:
        given = {name: value for name, value in statement.options.items() if name != "COMMENT"}
        changes = {
            name.lower(): getattr(ast.UNSET, name.lower()) if value is None else value for name, value in given.items()
        }
        definition = replace(self.definition, **changes)
        if "api_integration" in changes:
            check_prefix(definition.url, session.account.state(Integrations).get(definition.api_integration, "API"))
        self.definition = definition

    def properties(self, session: Session) -> list[list[str | None]]:
        definition = self.definition
        rows = definition.described("EXTERNAL")
        if definition.secure and session.role != self.owner:
            return rows
        return [
            *rows,
            ["body", definition.url],
            ["headers", ",".join(f"{name}={value}" for name, value in definition.headers) or None],
            ["context_headers", ",".join(definition.context_headers) or None],
            ["max_batch_rows", str(definition.max_batch_rows or "not set")],
            ["compression", definition.compression],
            ["request_translator", None],
            ["response_translator", None],
        ]
