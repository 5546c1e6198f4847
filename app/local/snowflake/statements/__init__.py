"""One subject a module: each turns statements of the grammar into actions on the engine.

``HANDLERS`` names the handler of each kind of statement; a new statement is a value in ``syntax``, a rule in ``grammar`` and a
line here. ``columns_of`` tells a statement's result columns without running it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.local.snowflake import syntax as ast
from app.local.snowflake.result import COPY, DDL, Result
from app.local.snowflake.statements import account, functions, integrations, load, stages, unload

if TYPE_CHECKING:
    from app.local.snowflake.session import Session

Handler = Callable[["Session", Any], Result]
Columns = list[tuple[str, str]]

HANDLERS: dict[type[ast.Statement], Handler] = {
    ast.CreateRole: account.create_role,
    ast.CreateWarehouse: account.create_warehouse,
    ast.AlterWarehouse: account.alter_warehouse,
    ast.AlterSession: account.alter_session,
    ast.Grant: account.grant,
    ast.Use: account.use,
    ast.Show: account.show,
    ast.Drop: account.drop,
    ast.CreateStorageIntegration: integrations.create,
    ast.CreateApiIntegration: integrations.create,
    ast.DescribeIntegration: integrations.describe,
    ast.CreateStage: stages.create,
    ast.ListStage: stages.list_files,
    ast.RemoveStage: stages.remove_files,
    ast.CopyIntoLocation: unload.copy_into_location,
    ast.CopyIntoTable: load.copy_into_table,
    ast.CreateExternalFunction: functions.create,
    ast.DropFunction: functions.drop,
    ast.DescribeFunction: functions.describe,
}

_STATUS: Columns = [("status", "text")]


def columns_of(statement: ast.Statement) -> tuple[Columns, int]:
    """Result columns and statement type, for a client that only asks for the description."""
    if isinstance(statement, ast.CopyIntoLocation):
        return (unload.DETAILED if statement.detailed_output else unload.SUMMARY), COPY
    if isinstance(statement, ast.CopyIntoTable):
        return load.COLUMNS, COPY
    if isinstance(statement, ast.ListStage):
        return stages.LISTED, 0
    if isinstance(statement, ast.RemoveStage):
        return stages.REMOVED, 0
    if isinstance(statement, ast.Show):
        return account.SHOWN[statement.kind], 0
    if isinstance(statement, ast.DescribeIntegration):
        return integrations.DESCRIBED, 0
    if isinstance(statement, ast.DescribeFunction):
        return functions.DESCRIBED, 0
    return _STATUS, DDL
