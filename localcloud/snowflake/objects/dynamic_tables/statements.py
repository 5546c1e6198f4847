"""CREATE, ALTER, DROP, SHOW and DESCRIBE DYNAMIC TABLE. The rows are stored in a table of the same name."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, missing_object
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.dynamic_tables import syntax as ast
from localcloud.snowflake.objects.dynamic_tables.refresh import refresh, run_as_owner
from localcloud.snowflake.objects.dynamic_tables.state import DynamicTable
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.table_names import path_of
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import parsing
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.syntax import Alter, Path

_TIME = "timestamp_ltz"
COLUMNS: Columns = [
    *[("created_on", _TIME), ("name", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("cluster_by", "text"), ("rows", "fixed"), ("bytes", "fixed"), ("owner", "text"), ("target_lag", "text")],
    *[("refresh_mode", "text"), ("refresh_mode_reason", "text"), ("warehouse", "text"), ("comment", "text")],
    *[("text", "text"), ("automatic_clustering", "text"), ("scheduling_state", "text")],
    *[("last_suspended_on", _TIME), ("is_clone", "text"), ("is_replica", "text"), ("data_timestamp", _TIME)],
    ("owner_role_type", "text"),
]


def make(session: Session, statement: ast.CreateDynamicTable, path: Path, runner: Runner) -> DynamicTable:
    options = statement.options
    _check_warehouse(session, options["WAREHOUSE"])
    query = parsing.parse(statement.query)
    if not isinstance(query, exp.Query):
        raise compilation(1003, "42000", "syntax error: expected a query.")
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
    run_as_owner(session, runner, table, f"CREATE OR REPLACE TABLE {quoted(*path)} AS {source}")
    return table


def _check_warehouse(session: Session, name: str) -> None:
    if name not in session.account.state(Catalog).warehouses:
        raise missing_object(name, "Warehouse")


def _read(session: Session, query: exp.Query) -> frozenset[Path]:
    return frozenset(path for table in query.find_all(exp.Table) if (path := path_of(session, table)) is not None)


def alter(session: Session, table: DynamicTable, statement: Alter, runner: Runner) -> None:
    options = statement.options
    if statement.action == "REFRESH":
        refresh(session, runner, table)
    elif statement.action == "SET":
        if "WAREHOUSE" in options:
            _check_warehouse(session, options["WAREHOUSE"])
        table.lag = options.get("TARGET_LAG", table.lag)
        table.warehouse = options.get("WAREHOUSE", table.warehouse)
    elif statement.action in ("SUSPEND", "RESUME"):
        table.active, table.failures = statement.action == "RESUME", 0
        table.suspended = None if table.active else session.account.clock.now()


def row(session: Session, table: DynamicTable) -> list[Any]:
    session.duck.execute(f"SELECT COUNT(*) FROM {quoted(*table.path)}")
    database, schema, name = table.path
    return [
        *[table.created, name, database, schema, "", session.duck.fetchall()[0][0], None, table.owner, table.lag],
        *[table.mode, None, table.warehouse, table.comment, table.text, "OFF"],
        *["ACTIVE" if table.active else "SUSPENDED", table.suspended, "false", "false", table.refreshed, "ROLE"],
    ]
