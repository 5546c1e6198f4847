"""Generated rows: what DuckDB needs to know of SEQ1 to SEQ8.

In: a node. Out: the node. The surprise: Snowpark's ``range`` numbers rows ORDER BY SEQ8(), which is the order they come in.
"""

from __future__ import annotations

from sqlglot import exp

_SEQUENCES = (exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8)


def rewrite(node: exp.Expr) -> exp.Expr:
    """A window ordered by a sequence alone is one in the order of the rows."""
    if isinstance(node, exp.Window):
        order = node.args.get("order")
        if order is not None and all(isinstance(key.this, _SEQUENCES) for key in order.expressions):
            node.set("order", None)
    return node
