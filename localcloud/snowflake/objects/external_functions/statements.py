"""CREATE EXTERNAL FUNCTION."""

from __future__ import annotations

from localcloud.snowflake.objects.external_functions import syntax as ast
from localcloud.snowflake.objects.external_functions.function import ExternalFunction
from localcloud.snowflake.objects.external_functions.registry import Registry
from localcloud.snowflake.objects.integrations.state import Integrations, check_prefix
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Path


def make(session: Session, statement: ast.CreateExternalFunction, path: Path, _runner: Runner) -> ExternalFunction:
    check_prefix(statement.url, session.account.state(Integrations).get(statement.api_integration, "API"))
    return ExternalFunction(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        registry=session.account.state(Registry),
        definition=statement,
    )
