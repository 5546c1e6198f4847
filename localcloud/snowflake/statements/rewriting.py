"""Snowflake's dialect where fakesnow's transforms fall short, as small rewrites of sqlglot's tree before they run.

In: a parsed statement and its session. Out: the same tree, with external functions, HASH_AGG, the context functions and
session-local tables in a form that DuckDB runs. The surprise: aggregates are hidden from fakesnow, which would turn every
SUM of whole numbers into a float; Snowflake does not.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions import (
    conversion,
    data_generation,
    date_time,
    flatten,
    numeric,
    query_history,
    result_scan,
    scalar,
    semi_structured,
)
from localcloud.snowflake.functions.context import CONTEXT_NAMES, context
from localcloud.snowflake.objects.external_functions.call_order import gather
from localcloud.snowflake.objects.feature import Rewrite
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql import asof_join, sampling
from localcloud.snowflake.sql.names import aliased, table_name
from localcloud.snowflake.sql.syntax import Name, Path
from localcloud.snowflake.statements.features import FEATURES

# Elements of Snowflake's date and time formats, longest first, as strftime directives.
_FORMAT_ELEMENTS = {
    "YYYY": "%Y",
    "HH24": "%H",
    "HH12": "%I",
    "MMMM": "%B",
    "MON": "%b",
    "FF3": "%g",
    "FF6": "%f",
    "YY": "%y",
    "MM": "%m",
    "DD": "%d",
    "DY": "%a",
    "MI": "%M",
    "SS": "%S",
    "AM": "%p",
    "PM": "%p",
}
_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Variance: "VAR_SAMP",
    exp.VariancePop: "VAR_POP",
    exp.Stddev: "STDDEV_SAMP",
    exp.StddevSamp: "STDDEV_SAMP",
    exp.StddevPop: "STDDEV_POP",
    exp.Median: "MEDIAN",
}


def prepare(expression: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """All rewrites, in the order in which they must come: names of columns are taken from the text as it was."""
    if expression.find(exp.HistoricalData):
        raise unsupported("time travel (AT and BEFORE)")
    _name_projections(expression)
    asof_join.rewrite(expression)
    _local_tables(expression, session)
    for feature in FEATURES:
        for rewrite_statement in feature.statement_rewrites:
            rewrite_statement(expression, session)
    for rewrite in (
        conversion.rewrite,
        sampling.rewrite,
        flatten.rewrite,
        semi_structured.rewrite,
        scalar.rewrite,
        numeric.rewrite,
        data_generation.rewrite,
        _date_unit,
        date_time.rewrite,
        _formatted,
        _numbered_column,
        lambda node: result_scan.rewrite(node, session),
        lambda node: query_history.rewrite(node, session, runner),
        *(_bound(rewrite, session, runner) for feature in FEATURES for rewrite in feature.rewrites),
        _hash_agg,
        _array,
        _context_function,
        lambda node: _system_function(node, session),
        _aggregate,
    ):
        expression = _everywhere(expression, rewrite)
    expression = gather(expression)
    _quote(expression)
    return expression


def _bound(rewrite: Rewrite, session: Session, runner: Runner) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: rewrite(node, session, runner)


def _everywhere(expression: exp.Expr, rewrite: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Innermost first, so that a call inside a call is rewritten too; sqlglot's ``transform`` would stop at the outer one."""
    for node in reversed(list(expression.walk())):
        new = rewrite(node)
        if new is node:
            continue
        if node is expression:
            return new
        node.replace(new)
    return expression


def _quote(expression: exp.Expr) -> None:
    """Names as Snowflake stores them, quoted, so that words which only DuckDB reserves (AT, for one) stay names."""
    for identifier in expression.find_all(exp.Identifier):
        if not identifier.args.get("quoted") and isinstance(identifier.this, str):
            identifier.set("this", identifier.this.upper())
            identifier.set("quoted", True)


def _name_projections(expression: exp.Expr) -> None:
    """Snowflake names an unaliased expression by its text in upper case; DuckDB would name it its own way."""
    for select in expression.find_all(exp.Select):
        select.set("expressions", [aliased(projection) for projection in select.expressions])


def _local_tables(expression: exp.Expr, session: Session) -> None:
    """Temporary tables live in DuckDB's own temporary schema; point their names there."""
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


def _date_unit(node: exp.Expr) -> exp.Expr:
    """``DATEDIFF('day', a, b)`` is the same as ``DATEDIFF(day, a, b)``; Snowpark writes the first."""
    unit = node.args.get("unit") if isinstance(node, exp.Func) else None
    if isinstance(unit, exp.Literal):
        node.set("unit", exp.var(unit.name.upper()))
    return node


def _formatted(node: exp.Expr) -> exp.Expr:
    """TO_CHAR of a date or a moment with a format; formats of numbers are refused."""
    if not isinstance(node, exp.ToChar) or node.args.get("format") is None:
        return node
    written = node.args["format"]
    if not isinstance(written, exp.Literal) or not written.is_string:
        raise unsupported("TO_CHAR with a format that is not a literal")
    left, directive = written.name, ""
    while left:
        for element, short in _FORMAT_ELEMENTS.items():
            if left.upper().startswith(element):
                directive, left = directive + short, left[len(element) :]
                break
        else:
            if left[0].isalnum():
                raise unsupported(f"the format '{written.name}' of TO_CHAR")
            directive, left = directive + left[0].replace("%", "%%"), left[1:]
    return exp.Anonymous(this="STRFTIME", expressions=[node.this, exp.Literal.string(directive)])


def _numbered_column(node: exp.Expr) -> exp.Expr:
    """``$1`` over VALUES, as Snowpark writes local rows; over anything else it is refused."""
    if not isinstance(node, exp.Parameter) or not node.name.isdecimal():
        return node
    select = node.find_ancestor(exp.Select)
    source = select.args.get("from_") if select is not None else None
    values = source.this if source is not None else None
    if not isinstance(values, exp.Values):
        raise unsupported(f"the column ${node.name} outside SELECT ... FROM VALUES; name the column")
    given = values.args.get("alias")
    columns = given.columns if given is not None else []
    if columns:
        return exp.Column(this=columns[int(node.name) - 1].copy())
    return exp.Column(this=exp.to_identifier(f"COLUMN{node.name}", quoted=True))


def _hash_agg(node: exp.Expr) -> exp.Expr:
    """HASH_AGG: the same for the same rows in any order, duplicates counted, 0 for no rows; 64 bits as in Snowflake.

    The value itself differs from Snowflake's, which documents only these properties.
    """
    if not isinstance(node, exp.HashAgg):
        return node
    arguments = [node.this, *node.expressions]
    distinct = isinstance(node.this, exp.Distinct)
    if distinct:
        arguments = list(node.this.expressions)
    shown = ", ".join(
        "*COLUMNS(*)" if isinstance(item, exp.Star) else item.sql(dialect="snowflake") for item in arguments
    )
    if any(item.is_star and not isinstance(item, exp.Star) for item in arguments):
        raise unsupported("HASH_AGG(table.*); write HASH_AGG(*) or the columns")
    if any(isinstance(item, exp.Star) for item in arguments):
        inner: exp.Expr = exp.Anonymous(
            this="HASH", expressions=[exp.Var(this=shown) if isinstance(item, exp.Star) else item for item in arguments]
        )
    else:
        inner = exp.Anonymous(this="HASH", expressions=[item.copy() for item in arguments])
    wide: exp.Expr = exp.cast(inner, "HUGEINT", dialect="duckdb")
    total = exp.Anonymous(this="SUM", expressions=[exp.Distinct(expressions=[wide]) if distinct else wide])
    folded = exp.Mod(this=exp.func("COALESCE", total, exp.Literal.number(0)), expression=exp.Literal.number(2**63 - 1))
    return exp.cast(folded, "BIGINT", dialect="duckdb")


def _array(node: exp.Expr) -> exp.Expr:
    """ARRAY_CONSTRUCT: a Snowflake array holds values of any types, a DuckDB list does not, JSON does."""
    if not isinstance(node, exp.Array):
        return node
    return exp.Anonymous(this="JSON_ARRAY", expressions=node.expressions)


def _context_function(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Anonymous):
        name = str(node.this).upper()
    elif isinstance(node, exp.Func) and not isinstance(node, exp.CurrentTimestamp):
        name = node.sql_name()
    else:
        return node
    return context(name) if name in CONTEXT_NAMES else node


def _system_function(node: exp.Expr, session: Session) -> exp.Expr:
    """The SYSTEM$ functions that the connector and Snowpark call on their own; others are refused."""
    if not isinstance(node, exp.Anonymous) or not str(node.this).upper().startswith("SYSTEM$"):
        return node
    name = str(node.this).upper()
    if name == "SYSTEM$CANCEL_ALL_QUERIES":
        session.account.state(Queries).cancel_session(_integer(node, name), but=session)
        return exp.Literal.string("query cancelled.")
    if name == "SYSTEM$CANCEL_QUERY":
        return exp.Literal.string(session.account.state(Queries).cancel(node.expressions[0].name))
    if name == "SYSTEM$GET_SNOWFLAKE_PLATFORM_INFO":
        return exp.Literal.string('{"snowflake-vpc-id":["vpc-local"]}')
    found = next((feature.system_functions[name] for feature in FEATURES if name in feature.system_functions), None)
    if found is None:
        raise unsupported(f"the function {name}")
    return found(node, session)


def _integer(node: exp.Anonymous, name: str) -> int:
    argument = node.expressions[0] if node.expressions else None
    if argument is None or not str(argument.name).isdecimal():
        raise compilation(1044, "42P13", f"Invalid argument types for function '{name}'")
    return int(argument.name)


def _aggregate(node: exp.Expr) -> exp.Expr:
    name = _AGGREGATES.get(type(node))
    if name is None:
        return node
    return exp.Anonymous(this=name, expressions=[node.this])
