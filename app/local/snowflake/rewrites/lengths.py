"""Casts to VARCHAR(n): a longer text fails, and TRY_CAST answers NULL; DuckDB ignores the length.

In: a cast to a text type with a length. Out: the cast to VARCHAR within a macro that looks at the length.
"""

from __future__ import annotations

from sqlglot import exp

_TYPES = exp.DataType.Type
_TEXTS = (_TYPES.VARCHAR, _TYPES.TEXT, _TYPES.CHAR, _TYPES.NVARCHAR, _TYPES.NCHAR)


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Cast | exp.TryCast):
        return node
    type_ = node.to
    if type_.this not in _TEXTS or len(type_.expressions) != 1:
        return node
    whole = node.copy()
    whole.set("to", exp.DataType(this=exp.DataType.Type.VARCHAR))
    name = "_text_that_fits" if isinstance(node, exp.TryCast) else "_text_within"
    return exp.Anonymous(this=name, expressions=[whole, type_.expressions[0].this.copy()])
