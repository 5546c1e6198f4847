"""Data generation functions: RANDOM, UNIFORM, NORMAL, RANDSTR and SEQ1 to SEQ8.

The value of a seeded generator depends on its seed and the row's number only, so it repeats; the numbers differ from Snowflake's.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported

_SEQUENCES = (exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8)


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Zipf):
        raise unsupported("the function ZIPF")
    make = _REWRITES.get(type(node))
    return make(node) if make is not None else node


def _ordered_by_sequence(node: exp.Expr) -> exp.Expr:
    """A window ordered by a sequence alone is in the order of the rows; Snowpark's ``range`` numbers rows ORDER BY SEQ8()."""
    order = node.args.get("order")
    if order is not None and all(isinstance(key.this, _SEQUENCES) for key in order.expressions):
        node.set("order", None)
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


def _text(node: exp.Expr) -> exp.Expr:
    generator = node.args.get("generator")
    return node if generator is None else _call("_random_text", node.this, generator)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Rand: _random,
    exp.Uniform: _uniform,
    exp.Normal: _normal,
    exp.Randstr: _text,
    exp.Window: _ordered_by_sequence,
}
