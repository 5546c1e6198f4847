"""The interface through which features run statements."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.bindings import Binding


class Runner(Protocol):
    """Runs the statements of an account's sessions."""

    def run(
        self,
        session: Session,
        sql: str,
        bindings: dict[str, Binding] | None = None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        """Run one statement of a client; a failure leaves the session usable.

        ``describe_only``: return the columns without the rows. ``tag``: the statement's own query tag, instead of the session's.
        Raises the connector's ``ProgrammingError``.
        """

    def run_nested(
        self,
        session: Session,
        sql: str,
        bindings: dict[str, Binding] | None,
        *,
        query_id: str,
        describe_only: bool = False,
        tag: str | None = None,
    ) -> Result:
        """Like :meth:`run`, for a statement of a procedure, whose CALL already holds the session's lock."""

    def run_expression(self, session: Session, expression: exp.Expr) -> Result:
        """Run a parsed statement as part of the running statement."""

    def run_bound(self, session: Session, expression: exp.Expr, rows: pa.Table) -> Result:
        """Run a parsed statement that reads the rows of an array binding."""

    def query_sql(self, session: Session, query: str | exp.Expr) -> str:
        """Translate a query from Snowflake's dialect to DuckDB's."""

    def duck_sql(self, session: Session, expression: exp.Expr) -> str:
        """The SQL of an already rewritten statement in DuckDB's dialect."""
