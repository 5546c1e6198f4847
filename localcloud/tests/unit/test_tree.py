"""The walks of syntax trees do what sqlglot's own do."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from localcloud.snowflake.sql import tree

_STATEMENTS = [
    "SELECT 1",
    "SELECT a, F(b + 1, 'x') AS c FROM t AS u JOIN v USING (k) WHERE a IN (1, 2) AND NOT b IS NULL ORDER BY c LIMIT 3",
    "WITH r AS (SELECT MAX(a) OVER (PARTITION BY b) AS m FROM t) SELECT * FROM r WHERE m > (SELECT AVG(a) FROM t)",
    "CREATE TABLE t (a INT, b VARCHAR(20) DEFAULT 'x')",
    "INSERT INTO t (a) VALUES (1), (2)",
]


def _upper(node: exp.Expr, suffix: str = "") -> exp.Expr:
    """Changes a node in place."""
    if isinstance(node, exp.Identifier):
        node.set("this", node.name.upper() + suffix)
    return node


def _wrapped(node: exp.Expr) -> exp.Expr:
    """Puts a column into a call: the column in the new node must not be visited again."""
    return exp.Anonymous(this="W", expressions=[node.copy()]) if isinstance(node, exp.Column) else node


def _other_root(node: exp.Expr) -> exp.Expr:
    return exp.Subquery(this=node.copy()) if isinstance(node, exp.Select) and node.parent is None else node


@pytest.mark.parametrize("sql", _STATEMENTS)
def test_nodes_are_those_of_walk_in_its_order(sql: str) -> None:
    expression = parse_one(sql, dialect="snowflake")
    assert [id(node) for node in tree.nodes(expression)] == [id(node) for node in expression.walk()]


@pytest.mark.parametrize("sql", _STATEMENTS)
def test_kept_steps_do_what_a_chain_of_transforms_does(sql: str) -> None:
    expression = parse_one(sql, dialect="snowflake")
    expected = (
        expression.transform(_upper, suffix="_").transform(_wrapped).transform(_other_root).transform(_upper, "2")
    )
    steps = tree.Steps()
    steps.transform(_upper, suffix="_", copy=False).transform(_wrapped, copy=False).transform(_other_root, copy=False)
    steps.transform(_upper, "2", copy=False)
    assert steps.run(expression) == expected
