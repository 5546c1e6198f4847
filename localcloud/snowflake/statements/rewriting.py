"""The rewrites of sqlglot's syntax tree before fakesnow's transforms and DuckDB: the list, and their order."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.functions import (
    aggregate,
    context,
    conversion,
    data_generation,
    date_time,
    hashing,
    numeric,
    semi_structured,
    window,
)
from localcloud.snowflake.functions.table import flatten, query_history, result_scan
from localcloud.snowflake.objects.external_functions.call_order import gather
from localcloud.snowflake.objects.feature import Rewrite
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import asof_join, pivot, sampling, values
from localcloud.snowflake.sql.names import aliased, table_name
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.statements import system_functions
from localcloud.snowflake.statements.features import FEATURES


def prepare(expression: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """Apply all rewrites. The order matters: columns are named first, by the text as the client wrote it."""
    if expression.find(exp.HistoricalData):
        raise unsupported("time travel (AT and BEFORE)")
    _name_projections(expression)
    asof_join.rewrite(expression)
    _local_tables(expression, session)
    for feature in FEATURES:
        for rewrite_statement in feature.statement_rewrites:
            rewrite_statement(expression, session)
    for rewrite in (
        conversion.rewrite_lengths,
        sampling.rewrite,
        flatten.rewrite,
        semi_structured.rewrite,
        values.rewrite,
        pivot.rewrite,
        window.rewrite,
        conversion.rewrite,
        numeric.rewrite,
        data_generation.rewrite,
        date_time.rewrite_unit,
        date_time.rewrite,
        lambda node: result_scan.rewrite(node, session),
        lambda node: query_history.rewrite(node, session, runner),
        *(_bound(rewrite, session, runner) for feature in FEATURES for rewrite in feature.rewrites),
        hashing.rewrite,
        semi_structured.rewrite_array,
        context.rewrite,
        lambda node: system_functions.rewrite(node, session),
        aggregate.rewrite,
    ):
        expression = _everywhere(expression, rewrite)
    expression = gather(expression)
    _quote(expression)
    return expression


def _bound(rewrite: Rewrite, session: Session, runner: Runner) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: rewrite(node, session, runner)


def _everywhere(expression: exp.Expr, rewrite: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Rewrite innermost nodes first, so that nested calls are rewritten too; sqlglot's ``transform`` stops at the outer one."""
    for node in reversed(list(expression.walk())):
        new = rewrite(node)
        if new is node:
            continue
        if node is expression:
            return new
        node.replace(new)
    return expression


def _quote(expression: exp.Expr) -> None:
    """Quote names as Snowflake stores them, so that words which only DuckDB reserves (such as AT) are names."""
    for identifier in expression.find_all(exp.Identifier):
        if not identifier.args.get("quoted") and isinstance(identifier.this, str):
            identifier.set("this", identifier.this.upper())
            identifier.set("quoted", True)


def _name_projections(expression: exp.Expr) -> None:
    """Snowflake names an expression without alias by its text in upper case; DuckDB uses other names."""
    for select in expression.find_all(exp.Select):
        select.set("expressions", [aliased(projection) for projection in select.expressions])


def _local_tables(expression: exp.Expr, session: Session) -> None:
    """Point the names of temporary tables at DuckDB's temporary schema, where they are stored."""
    if not session.temporary:
        return
    for table in list(expression.find_all(exp.Table)):
        name = table_name(table)
        path = _known_path(session, name)
        local = session.temporary.get(path) if path else None
        if local is None:
            continue
        if isinstance(
            table.parent, exp.Drop | exp.Create | exp.Insert | exp.Alter | exp.Schema | exp.Delete | exp.Update
        ):
            alias = table.args.get("alias")
        else:
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name.name, quoted=True))
        for key, value in (("this", local), ("db", "main"), ("catalog", "temp")):
            table.set(key, exp.to_identifier(value, quoted=True))
        table.set("alias", alias)


def _known_path(session: Session, name: Name) -> Path | None:
    database, schema = name.database or session.database, name.schema or session.schema
    return (database, schema, name.name) if database and schema else None
