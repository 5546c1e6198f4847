"""Collations that DuckDB lacks: ``trim`` and its like in comparisons, and COLLATION of a text that names its own."""

from __future__ import annotations

from sqlglot import exp

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_TRIMS = ("trim", "ltrim", "rtrim")


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Collation) and isinstance(node.this, exp.Collate):
        return exp.Literal.string(node.this.expression.name)
    if isinstance(node, _COMPARISONS):
        _trim_sides(node)
    return node


def _trim_sides(comparison: exp.Expr) -> None:
    """Compare without blanks where the collation of one side says so."""
    sides = [comparison.this, comparison.expression]
    trims = {trim for side in sides for trim in _TRIMS if trim in _specifiers(side)}
    for side in sides if trims else ():
        value = side.unnest()
        kept = [part for part in _specifiers(value) if part.lower() not in _TRIMS]
        text = value.this if isinstance(value, exp.Collate) else value
        for trim in sorted(trims):
            text = exp.Anonymous(this=trim.upper(), expressions=[text.copy()])
        side.replace(exp.Collate(this=text, expression=exp.Literal.string("-".join(kept))) if kept else text)


def _specifiers(side: exp.Expr) -> list[str]:
    """The parts of the collation of a text; none where it names no collation."""
    value = side.unnest()
    return value.expression.name.split("-") if isinstance(value, exp.Collate) else []
