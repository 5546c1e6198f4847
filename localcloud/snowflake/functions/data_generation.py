"""Row generation with SEQ1 to SEQ8."""

from __future__ import annotations

from sqlglot import exp

_SEQUENCES = (exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8)


def rewrite(node: exp.Expr) -> exp.Expr:
    """Remove a window's ORDER BY over a sequence function: Snowpark's ``range`` numbers rows by SEQ8(), which is the
    order of the rows."""
    if isinstance(node, exp.Window):
        order = node.args.get("order")
        if order is not None and all(isinstance(key.this, _SEQUENCES) for key in order.expressions):
            node.set("order", None)
    return node
