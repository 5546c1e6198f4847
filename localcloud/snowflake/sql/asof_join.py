"""ASOF JOIN with MATCH_CONDITION, as DuckDB's ASOF LEFT JOIN: the match condition follows the equalities in ON.

In Snowflake a USING column is in the result once and may be read without its table. DuckDB offers that for ASOF joins only where
USING contains the inequality too, so USING is rewritten.
"""

from __future__ import annotations

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.sql.names import stored


def rewrite(expression: exp.Expr) -> None:
    """Rewrite every ASOF JOIN of the statement, in place."""
    for join in list(expression.find_all(exp.Join)):
        if join.method == "ASOF":
            _leave_parentheses(join)
            _rewrite(join)


def _leave_parentheses(join: exp.Join) -> None:
    """Join the SELECT's first source without the parentheses around the join."""
    inner = join.parent
    around = inner.parent if isinstance(inner, exp.Subquery | exp.Table) else None
    select = around.parent_select if around is not None else None
    if not isinstance(around, exp.Subquery) or around.this is not inner or around.args.get("alias") or select is None:
        return
    if around.args.get("joins") or select.args["from_"].this is not around:
        return
    joins = [part.pop() for part in list(inner.args["joins"])]
    inner.set("joins", None)
    select.args["from_"].set("this", inner)
    select.set("joins", [*joins, *(select.args.get("joins") or [])])


def _rewrite(join: exp.Join) -> None:
    condition = join.args.get("match_condition")
    if condition is None:
        raise compilation(1003, "42000", "syntax error: ASOF JOIN needs a MATCH_CONDITION.")
    condition = condition.unnest()
    if not isinstance(condition, exp.GTE | exp.GT | exp.LTE | exp.LT):
        raise _invalid_match(
            10_001,
            "Only comparison operators '>=', '>', '<=' and '<' are allowed. "
            "Keywords such as AND and OR are not allowed.",
        )
    right = _name(join.this)
    if right in _tables(condition.this) or _tables(condition.expression) - {right}:
        raise _invalid_match(
            10_002,
            "The left side allows only column references from the left side table, "
            "and the right side allows only column references from the right side table.",
        )
    equal = _equalities(join)
    join.set("match_condition", None)
    join.set("side", "LEFT")
    join.set("using", None)
    join.set("on", exp.and_(*equal, condition.copy(), copy=False))


def _invalid_match(errno: int, text: str) -> ProgrammingError:
    return compilation(errno, "42601", f"MATCH_CONDITION clause is invalid: {text}")


def _equalities(join: exp.Join) -> list[exp.Expr]:
    if (using := join.args.get("using")) is not None:
        return _using(join, using)
    written = join.args.get("on")
    if written is None:
        return []
    parts = list(written.unnest().flatten()) if isinstance(written.unnest(), exp.And) else [written.unnest()]
    for part in parts:
        if not isinstance(part.unnest(), exp.EQ):
            raise compilation(
                10_003,
                "42601",
                "ON clause for ASOF JOIN must contain conjunctions of equality conditions only. Disjunctions are not "
                "allowed. Each side of an equality condition must only refer to either the left table or the right "
                f"table. {part.sql(dialect='snowflake').upper()} is invalid.",
            )
    return [part.copy() for part in parts]


def _using(join: exp.Join, columns: list[exp.Identifier]) -> list[exp.Expr]:
    """The equalities of USING. Unqualified columns of these names are qualified with the left table."""
    owner = join.parent
    if not isinstance(owner, exp.Select) or len(owner.args["joins"]) > 1:
        raise unsupported("ASOF JOIN ... USING together with another join; write ON")
    left, right = owner.args["from_"].this, join.this
    names = {stored(column) for column in columns}
    for column in list(owner.find_all(exp.Column)):
        if column.parent_select is owner and not column.table and stored(column.this) in names:
            column.set("table", _qualifier(left))
    for star in [item for item in owner.expressions if isinstance(item, exp.Star)]:
        hidden = [exp.column(column.copy(), table=_qualifier(right)) for column in columns]
        star.set("except_", [*(star.args.get("except_") or []), *hidden])
    return [
        exp.EQ(
            this=exp.column(column.copy(), table=_qualifier(left)),
            expression=exp.column(column.copy(), table=_qualifier(right)),
        )
        for column in columns
    ]


def _qualifier(source: exp.Expr) -> exp.Identifier:
    alias = source.args.get("alias")
    identifier = alias.this if alias is not None else source.this
    if not isinstance(identifier, exp.Identifier):
        raise unsupported("ASOF JOIN ... USING of a subquery without an alias")
    return identifier.copy()


def _name(source: exp.Expr) -> str:
    alias = source.args.get("alias")
    identifier = alias.this if alias is not None else source.this
    return stored(identifier) if isinstance(identifier, exp.Identifier) else ""


def _tables(side: exp.Expr) -> set[str]:
    return {stored(column.args["table"]) for column in side.find_all(exp.Column) if column.args.get("table")}
