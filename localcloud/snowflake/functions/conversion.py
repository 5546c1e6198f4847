"""Length checks of casts to VARCHAR(n): CAST fails for a longer text, TRY_CAST returns NULL. DuckDB ignores the length.

The cast keeps its length inside the macro, because CREATE TABLE AS takes the column's length from it.
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
