"""CREATE, ALTER, DROP, SHOW and DESCRIBE of dynamic tables.

In: statements of the grammar. Out: Snowflake's answers. The rows lie in a table of the same name.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, existing_object, missing_object
from localcloud.snowflake.objects.catalog import Catalog
from localcloud.snowflake.objects.dynamic_tables import syntax as ast
from localcloud.snowflake.objects.dynamic_tables.refresh import quoted, refresh, run_as_owner
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable, DynamicTables
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.streams.change_tracking import path_of
from localcloud.snowflake.objects.streams.state import Streams
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.syntax import Name, Path, Show

_TIME = "timestamp_ltz"
COLUMNS: Columns = [
    *[("created_on", _TIME), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("cluster_by", "text"), ("rows", "fixed"), ("bytes", "fixed"), ("owner", "text"), ("target_lag", "text")],
    *[("refresh_mode", "text"), ("refresh_mode_reason", "text"), ("warehouse", "text"), ("comment", "text")],
    *[("text", "text"), ("automatic_clustering", "text"), ("scheduling_state", "text")],
    *[("last_suspended_on", _TIME), ("is_clone", "text"), ("is_replica", "text"), ("data_timestamp", _TIME)],
    ("owner_role_type", "text"),
]


def create_dynamic_table(session: Session, statement: ast.CreateDynamicTable, runner: Runner) -> Result:
    transaction.commit_before_ddl(session)
    path, options = session.path(statement.name), statement.options
    session.account.names.require_schema(path)
    if session.account.names.kind(path) is not None and not statement.or_replace:
        if not statement.if_not_exists:
            raise existing_object(path[2])
        return status(f"{path[2]} already exists, statement succeeded.")
    if session.account.state(Streams).get(path) is not None:
        raise existing_object(path[2])
    _check_warehouse(session, options["WAREHOUSE"])
    query = parsing.parse(statement.query)
    if not isinstance(query, exp.Query):
        raise compilation(1003, "42000", "syntax error: a query is expected.")
    on_create = options.get("INITIALIZE", "ON_CREATE") == "ON_CREATE"
    table = DynamicTable(
        path=path,
        query=statement.query,
        text=session.statement,
        home=(session.database or path[0], session.schema or path[1]),
        upstream=_read(session, query),
        lag=options["TARGET_LAG"],
        warehouse=options["WAREHOUSE"],
        mode="FULL" if options.get("REFRESH_MODE", "AUTO") == "AUTO" else options["REFRESH_MODE"],
        comment=statement.comment or "",
        owner=session.role,
        created=session.account.clock.now(),
        refreshed=session.account.clock.now() if on_create else None,
    )
    source = statement.query if on_create else f"SELECT * FROM ({statement.query}) LIMIT 0"
    run_as_owner(session, runner, table, f"CREATE OR REPLACE TABLE {quoted(path)} AS {source}")
    session.account.state(DynamicTables).put(table)
    return status(f"Dynamic table {path[2]} successfully created.")


def _check_warehouse(session: Session, name: str) -> None:
    if name not in session.account.state(Catalog).warehouses:
        raise missing_object(name, "Warehouse")


def _read(session: Session, query: exp.Query) -> frozenset[Path]:
    return frozenset(path for table in query.find_all(exp.Table) if (path := path_of(session, table)) is not None)


def _found(session: Session, name: Name) -> DynamicTable:
    path = session.path(name)
    table = session.account.state(DynamicTables).get(path)
    if table is None:
        raise missing_object(".".join(path), "Dynamic table")
    return table


def alter_dynamic_table(session: Session, statement: ast.AlterDynamicTable, runner: Runner) -> Result:
    transaction.commit_before_ddl(session)
    if statement.if_exists and session.account.state(DynamicTables).get(session.path(statement.name)) is None:
        return done()
    table, options = _found(session, statement.name), statement.options
    if statement.action == "REFRESH":
        refresh(session, runner, table)
    elif statement.action == "SET":
        if "WAREHOUSE" in options:
            _check_warehouse(session, options["WAREHOUSE"])
        table.lag = options.get("TARGET_LAG", table.lag)
        table.warehouse = options.get("WAREHOUSE", table.warehouse)
        table.comment = options.get("COMMENT", table.comment)
    else:
        table.active, table.failures = statement.action == "RESUME", 0
        table.suspended = None if table.active else session.account.clock.now()
    return done()


def drop_dynamic_table(session: Session, name: Name) -> bool:
    transaction.commit_before_ddl(session)
    table = session.account.state(DynamicTables).get(session.path(name))
    if table is None:
        return False
    session.duck.execute(f"DROP TABLE IF EXISTS {quoted(table.path)}")
    session.account.state(DynamicTables).forget(lambda path: path == table.path)
    return True


def describe_dynamic_table(session: Session, statement: ast.DescribeDynamicTable, runner: Runner) -> Result:
    table = _found(session, statement.name)
    return runner.run_expression(session, parsing.parse(f"DESCRIBE TABLE {quoted(table.path)}"))


def dynamic_tables(session: Session, _show: Show) -> list[list[Any]]:
    return [
        _row(session, table) for table in sorted(session.account.state(DynamicTables).all(), key=lambda one: one.path)
    ]


def _row(session: Session, table: DynamicTable) -> list[Any]:
    session.duck.execute(f"SELECT COUNT(*) FROM {quoted(table.path)}")
    database, schema, name = table.path
    return [
        *[table.created, name, database, schema, "", session.duck.fetchall()[0][0], None, table.owner, table.lag],
        *[table.mode, None, table.warehouse, table.comment, table.text, "OFF"],
        *["ACTIVE" if table.active else "SUSPENDED", table.suspended, "false", "false", table.refreshed, "ROLE"],
    ]
