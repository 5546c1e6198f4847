"""Single functions whose Snowflake form DuckDB lacks: generators of random values, window events, hashes and binaries.

In: a node. Out: the same value in DuckDB's words. The surprise: what a seeded generator gives depends on its seed and the
row's number alone, so it repeats; the numbers themselves are not Snowflake's.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported

_WHOLE_SPAN = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Zipf):
        raise unsupported("the function ZIPF")
    make = _REWRITES.get(type(node))
    return make(node) if make is not None else node


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _values(node: exp.Expr) -> exp.Expr:
    """The columns of a named VALUES are COLUMN1, COLUMN2 and so on."""
    alias = node.args.get("alias")
    if isinstance(alias, exp.TableAlias) and alias.this is not None and not alias.columns and node.expressions:
        row = node.expressions[0]
        width = len(row.expressions) if isinstance(row, exp.Tuple) else 1
        alias.set("columns", [exp.to_identifier(f"COLUMN{at}", quoted=True) for at in range(1, width + 1)])
    return node


def _pivot(node: exp.Expr) -> exp.Expr:
    if node.find(exp.PivotAny) or any(
        isinstance(field.args.get("query"), exp.Query) for field in node.find_all(exp.In)
    ):
        raise unsupported("PIVOT over ANY or a subquery; list the values")
    return node


def _random(node: exp.Expr) -> exp.Expr:
    seed = node.this
    if seed is None:
        return node
    if seed.find(exp.Column):
        raise unsupported("RANDOM with a seed that is not a constant")
    select = node.parent_select
    if select is None or select.args.get("group") or not _in_projection(node, select):
        raise unsupported("RANDOM with a seed outside the columns of a SELECT without GROUP BY")
    return _call("_seeded", seed, exp.Window(this=exp.RowNumber(), over="OVER"))


def _in_projection(node: exp.Expr, select: exp.Select) -> bool:
    at: exp.Expr | None = node
    while at is not None and at.parent is not select:
        if isinstance(at, exp.AggFunc | exp.Window):
            return False
        at = at.parent
    return at is not None and at.arg_key == "expressions"


def _uniform(node: exp.Expr) -> exp.Expr:
    low, high = node.this, node.expression
    whole = all(end.is_int for end in (low, high))
    return _call("_uniform_whole" if whole else "_uniform_real", low, high, node.args["gen"])


def _normal(node: exp.Expr) -> exp.Expr:
    return _call("_normal", node.this, node.args["stddev"], node.args["gen"])


def _to_binary(node: exp.Expr) -> exp.Expr:
    written = node.args.get("format")
    if written is not None and not written.is_string:
        raise unsupported("TO_BINARY with a format that is not a literal")
    format_ = written.name.upper() if written is not None else "HEX"
    if node.args.get("safe") and format_ != "HEX":
        raise unsupported(f"TRY_TO_BINARY with the format '{format_}'")
    if format_ in ("UTF-8", "UTF8", "BASE64"):
        return _call("FROM_BASE64" if format_ == "BASE64" else "ENCODE", node.this)
    if format_ != "HEX":
        raise unsupported(f"TO_BINARY with the format '{format_}'")
    return _call("_try_binary" if node.args.get("safe") else "_binary", node.this)


def _text(node: exp.Expr) -> exp.Expr:
    generator = node.args.get("generator")
    return node if generator is None else _call("_random_text", node.this, generator)


def _window(node: exp.Expr) -> exp.Expr:
    called = node.this
    name = str(called.this).upper() if isinstance(called, exp.Anonymous) else ""
    if name == "RATIO_TO_REPORT":
        total = node.copy()
        total.set("this", _call("SUM", *called.expressions))
        return exp.Div(
            this=exp.cast(called.expressions[0].copy(), "DOUBLE"),
            expression=exp.Nullif(this=total, expression=exp.Literal.number(0)),
        )
    if name == "CONDITIONAL_TRUE_EVENT":
        node.set("this", _call("COUNT_IF", *called.expressions))
        node.set("spec", _WHOLE_SPAN.copy())
    if name == "CONDITIONAL_CHANGE_EVENT":
        raise unsupported("the function CONDITIONAL_CHANGE_EVENT; sum up a comparison with LAG")
    return node


def _hash(node: exp.Expr) -> exp.Expr:
    """HASH of any number of values, of ``*`` too.."""
    if str(node.this).upper() != "HASH":
        return node
    stars = [item for item in node.expressions if isinstance(item, exp.Star)]
    if any(star.args.get("except_") for star in stars):
        raise unsupported("HASH(* EXCLUDE ..); write the columns")
    given = [exp.Var(this="*COLUMNS(*)") if isinstance(item, exp.Star) else item for item in node.expressions]
    halved = exp.Mod(this=_call("hash", *given), expression=exp.Literal.number(2**63))
    return exp.cast(halved, "BIGINT", dialect="duckdb")


def _cast(node: exp.Expr) -> exp.Expr:
    """A text as a binary is read as hexadecimal digits; TRY_CAST to a moment answers NULL."""
    kind = node.args["to"].this
    if kind in (exp.DataType.Type.BINARY, exp.DataType.Type.VARBINARY):
        return _call("_try_binary" if isinstance(node, exp.TryCast) else "_binary", node.this)
    if isinstance(node, exp.TryCast) and kind in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        return _call("_try_moment", node.this)
    return node


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Values: _values,
    exp.Pivot: _pivot,
    exp.Rand: _random,
    exp.Uniform: _uniform,
    exp.Normal: _normal,
    exp.Randstr: _text,
    exp.ToBinary: _to_binary,
    exp.Window: _window,
    exp.Anonymous: _hash,
    exp.Cast: _cast,
    exp.TryCast: _cast,
}
