"""Casts to VARCHAR(n): a longer text fails, and TRY_CAST answers NULL; DuckDB ignores the length.

In: a cast to a text type with a length. Out: the cast within a macro that looks at the length. The surprise: the
cast keeps its length, from which a CREATE TABLE AS takes that of its column.
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
    name = "_text_that_fits" if isinstance(node, exp.TryCast) else "_text_within"
    return exp.Anonymous(this=name, expressions=[node.copy(), type_.expressions[0].this.copy()])
