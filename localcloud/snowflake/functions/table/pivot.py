"""PIVOT over ANY or a subquery: the values are read before the query runs, and take the place of the list."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import unsupported
from localcloud.snowflake.functions.probes import visible_ctes
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session


def rewrite(expression: exp.Expr, session: Session, runner: Runner) -> None:
    """List the values of every such PIVOT, in place, innermost first."""
    for pivot in reversed(list(expression.find_all(exp.Pivot))):
        for field in pivot.args.get("fields") or []:
            if isinstance(field, exp.In) and (query := _values_query(pivot, field)) is not None:
                if isinstance(expression, exp.Create) and expression.args.get("kind") == "VIEW":
                    raise unsupported("a view with PIVOT over ANY or a subquery; list the values")
                _list_values(pivot, field, _read(query, session, runner))
            elif isinstance(field, exp.In) and not pivot.args.get("unpivot"):
                _name_numbers(pivot, field)
        _fill(pivot)


def _values_query(pivot: exp.Pivot, field: exp.In) -> exp.Select | None:
    """The query that reads the values; ``None`` for a PIVOT that lists them."""
    (given,) = field.expressions if len(field.expressions) == 1 else (None,)
    query = field.args.get("query") or given
    query = query.this if isinstance(query, exp.Subquery) else query
    if isinstance(given, exp.PivotAny):
        source = pivot.parent.copy() if pivot.parent is not None else exp.Table()
        source.set("pivots", None)
        values = exp.select(field.this.copy()).distinct().from_(source)
        order = given.this
        if not isinstance(order, exp.Order):
            order = exp.Order(expressions=[exp.Ordered(this=field.this.copy())])
        values.set("order", order.copy())
    elif isinstance(query, exp.Select):
        values = query.copy()
    else:
        return None
    if (ctes := visible_ctes(pivot)) and not values.args.get("with_"):
        values.set("with_", exp.With(expressions=ctes))
    return values


def _read(query: exp.Select, session: Session, runner: Runner) -> list[Any]:
    rows = session.duck.execute(runner.query_sql(session, query)).fetchall()
    return list(dict.fromkeys(row[0] for row in rows if row[0] is not None))


def _list_values(pivot: exp.Pivot, field: exp.In, values: list[Any]) -> None:
    if not values:
        raise unsupported("PIVOT over ANY or a subquery without a value")
    field.set("query", None)
    field.set("expressions", [_literal(value) for value in values])
    if not (pivot.args.get("alias") and pivot.args["alias"].columns):
        pivot.set("columns", [exp.to_identifier(_shown(value), quoted=True) for value in values])


def _name_numbers(pivot: exp.Pivot, field: exp.In) -> None:
    """Snowflake names the column of ``1 :: INT`` by the cast to the type's full name."""
    names = pivot.args.get("columns") or []
    for at, value in enumerate(field.expressions):
        if isinstance(value, exp.Cast) and value.to.this in exp.DataType.INTEGER_TYPES:
            name = exp.to_identifier(f"CAST({value.this.sql(dialect='snowflake')} AS NUMBER(38,0))", quoted=True)
            value.replace(exp.PivotAlias(this=value.this.copy(), alias=name))
            if len(names) == len(field.expressions):
                names[at].replace(name.copy())


def _fill(pivot: exp.Pivot) -> None:
    """DEFAULT ON NULL: the source becomes a subquery that replaces NULL in the columns of the values."""
    default, source = pivot.args.get("default_on_null"), pivot.parent
    if not isinstance(default, exp.Expr) or source is None:
        return
    alias = pivot.args.get("alias")
    names = (alias.columns if alias is not None else None) or pivot.args.get("columns") or []
    pivot.set("default_on_null", None)
    filled = [
        exp.alias_(exp.Coalesce(this=exp.column(name.copy()), expressions=[default.copy()]), name.copy())
        for name in names
    ]
    inner = exp.Select(expressions=[exp.Star(replace=filled)], from_=exp.From(this=source.copy()))
    outer = exp.TableAlias(this=alias.this.copy()) if alias is not None and alias.this is not None else None
    source.replace(exp.Subquery(this=inner, alias=outer))


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float | Decimal):
        return exp.Literal.number(str(value)) if value >= 0 else exp.Neg(this=exp.Literal.number(str(-value)))
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), "TIMESTAMP")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    return exp.Literal.string(str(value))


def _shown(value: Any) -> str:
    """The column's name: the value as a literal."""
    return f"'{value}'" if isinstance(value, str | date) else str(value).upper()
