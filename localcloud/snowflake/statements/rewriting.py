"""The rewrites of sqlglot's syntax tree before fakesnow's transforms and DuckDB: the list, and their order."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions import (
    aggregate,
    collation,
    context,
    conversion,
    data_generation,
    hashing,
    macros,
    numeric,
    operands,
    percentile_states,
    strings,
    window,
)
from localcloud.snowflake.functions.moments import date_time, inserted_texts, text_conversions, timestamps
from localcloud.snowflake.functions.nested import higher_order, semi_structured, star_objects
from localcloud.snowflake.functions.table import (
    flatten,
    merged_columns,
    numbered_columns,
    pivot,
    query_history,
    result_scan,
    split,
)
from localcloud.snowflake.objects.external_functions.call_order import gather
from localcloud.snowflake.objects.feature import Rewrite
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import asof_join, joins, sampling, tree, values
from localcloud.snowflake.sql.identifiers import quoted
from localcloud.snowflake.sql.names import aliased, stored, table_name
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.statements import get_ddl, information_schema, search_path, system_functions, waits
from localcloud.snowflake.statements.features import FEATURES
from localcloud.snowflake.tables import describe, letter_case

_REFUSED: dict[type[exp.Expr], str] = {
    exp.HistoricalData: "time travel (AT and BEFORE)",
    exp.MatchRecognize: "MATCH_RECOGNIZE",
    exp.Connect: "CONNECT BY",
}


def prepare(expression: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """Apply all rewrites. The order matters: columns are named first, by the text as the client wrote it."""
    for node in expression.find_all(*_REFUSED):
        raise unsupported(_REFUSED[type(node)])
    if (described := describe.rewrite(expression, session)) is not expression:
        return described
    _name_projections(expression)
    names = letter_case.spelled_twice(expression, session)
    search_path.rewrite(expression, session)
    star_objects.rewrite(expression, session, runner)
    merged_columns.rewrite(expression, session, runner)
    numbered_columns.rewrite(expression, session, runner)
    pivot.rewrite(expression, session, runner)
    asof_join.rewrite(expression)
    _complete_joins(expression)
    _local_tables(expression, session)
    inserted_texts.rewrite(expression, session)
    _qualify_schemas(expression, session)
    for feature in FEATURES:
        for rewrite_statement in feature.statement_rewrites:
            rewrite_statement(expression, session)
    for rewrite in (
        operands.rewrite,
        higher_order.rewrite,
        split.rewrite,
        joins.rewrite,
        conversion.rewrite_lengths,
        conversion.rewrite_floats,
        sampling.rewrite,
        flatten.rewrite,
        collation.rewrite,
        strings.rewrite,
        semi_structured.rewrite,
        values.rewrite,
        window.rewrite,
        conversion.rewrite,
        numeric.rewrite,
        percentile_states.rewrite,
        conversion.rewrite_rounding,
        data_generation.rewrite,
        date_time.rewrite_unit,
        timestamps.rewrite,
        text_conversions.rewrite,
        date_time.rewrite,
        lambda node: result_scan.rewrite(node, session),
        lambda node: query_history.rewrite(node, session, runner),
        lambda node: information_schema.rewrite(node, session),
        *(_bound(rewrite, session, runner) for feature in FEATURES for rewrite in feature.rewrites),
        hashing.rewrite,
        semi_structured.rewrite_array,
        context.rewrite,
        lambda node: waits.rewrite(node, session),
        lambda node: system_functions.rewrite(node, session),
        lambda node: get_ddl.rewrite(node, session, runner),
        aggregate.rewrite,
    ):
        expression = _everywhere(expression, rewrite)
    for source in [found for found in expression.find_all(exp.TableFromRows) if isinstance(found.this, exp.Anonymous)]:
        raise unsupported(f"the table function {source.this.sql(dialect='snowflake').partition('(')[0]}")
    _name_functions(expression)
    expression = macros.finish(gather(expression))
    _quote(expression)
    return letter_case.separate(expression, names, session, runner)


def _name_functions(expression: exp.Expr) -> None:
    """A function of Snowflake's own that is called by a quoted name: its name in capitals, or an error."""
    for call in expression.find_all(exp.Anonymous):
        if isinstance(call.this, exp.Identifier):
            name = stored(call.this)
            if name != name.upper():
                raise compilation(2140, "42601", f'Unknown function "{name}"')
            call.set("this", name)


def _bound(rewrite: Rewrite, session: Session, runner: Runner) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: rewrite(node, session, runner)


def _everywhere(expression: exp.Expr, rewrite: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Rewrite innermost nodes first, so that nested calls are rewritten too; sqlglot's ``transform`` stops at the outer one."""
    for node in reversed(tree.nodes(expression)):
        new = rewrite(node)
        if new is node:
            continue
        if node is expression:
            return new
        node.replace(new)
    return expression


def _complete_joins(expression: exp.Expr) -> None:
    """A join without a condition joins all rows; sqlglot writes a comma, which loses LEFT and is no syntax in parentheses."""
    for join in expression.find_all(exp.Join):
        if any(join.args.get(key) for key in ("on", "using", "method")) or isinstance(join.this, exp.Lateral):
            continue
        if join.side:
            join.set("on", exp.true())
        elif join.kind == "INNER" or (not join.kind and not isinstance(join.parent, exp.Select)):
            join.set("kind", "CROSS")


def _quote(expression: exp.Expr) -> None:
    """Quote names as Snowflake stores them, so that words which only DuckDB reserves (such as AT) are names."""
    for order in expression.find_all(exp.Order):
        if len(order.expressions) == 1 and _is_all(order.expressions[0].this):
            order.expressions[0].set("this", exp.var("ALL"))
    for identifier in expression.find_all(exp.Identifier):
        if not identifier.args.get("quoted") and isinstance(identifier.this, str):
            identifier.set("this", identifier.this.upper())
            identifier.set("quoted", True)


def _is_all(value: exp.Expr) -> bool:
    """Whether the key is the ALL of ORDER BY ALL."""
    if not isinstance(value, exp.Column) or value.table or not isinstance(value.this, exp.Identifier):
        return False
    return not value.this.args.get("quoted") and value.name.upper() == "ALL"


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
            table.parent,
            exp.Drop | exp.Create | exp.Insert | exp.Alter | exp.Schema | exp.Describe,
        ):
            alias = table.args.get("alias")
        else:
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name.name, quoted=True))
        for key, value in (("this", local), ("db", "main"), ("catalog", "temp")):
            table.set(key, exp.to_identifier(value, quoted=True))
        table.set("alias", alias)


def _qualify_schemas(expression: exp.Expr, session: Session) -> None:
    """Write the database before a schema that has the name of a database, DuckDB's own included: DuckDB finds that ambiguous.

    The definition of a view, from which DuckDB takes the database again, names such a table in a text.
    """
    if session.database is None or expression.args.get("kind") in ("SCHEMA", "DATABASE"):
        return
    is_view = isinstance(expression, exp.Create) and expression.args.get("kind") == "VIEW"
    for table in list(expression.find_all(exp.Table)):
        schema = table.args.get("db")
        if not isinstance(schema, exp.Identifier) or not isinstance(table.this, exp.Identifier):
            continue
        in_view = is_view and isinstance(table.parent, exp.From | exp.Join)
        if not (in_view or not table.args.get("catalog")) or not session.account.names.is_catalog(stored(schema)):
            continue
        if not table.args.get("catalog"):
            table.set("catalog", exp.to_identifier(session.database, quoted=True))
        if in_view:
            _name_in_text(table)


def _name_in_text(table: exp.Table) -> None:
    name = quoted(*(stored(part) for part in (table.args["catalog"], table.args["db"], table.this)))
    if not table.args.get("alias"):
        table.set("alias", exp.TableAlias(this=exp.to_identifier(stored(table.this), quoted=True)))
    table.set("this", exp.Anonymous(this="query_table", expressions=[exp.Literal.string(name)]))
    table.set("db", None)
    table.set("catalog", None)


def _known_path(session: Session, name: Name) -> Path | None:
    database, schema = name.database or session.database, name.schema or session.schema
    return (database, schema, name.name) if database and schema else None
