"""A definition in Python as its author wrote it: the function's source, and what its module defines next to it."""

from __future__ import annotations

import ast
from pathlib import Path


def definition_text(path: Path, define: str) -> str:
    """The text of ``define``, such as ``features.py:orders``: its function first, then the module's other definitions."""
    text, (_, _, function) = path.read_text(encoding="utf-8"), define.partition(":")
    body = ast.parse(text).body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    lines = text.splitlines()
    # A name that is defined twice has its last definition.
    chosen = next((node for node in reversed(body) if _name(node) == function), None)
    own = [_lines(lines, chosen)] if chosen is not None else []
    others = [_lines(lines, node) for node in body if node is not chosen]
    return "\n\n\n".join([*own, "\n".join(others)]) if own else "\n".join(others)


def _name(node: ast.stmt) -> str:
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""


def _lines(lines: list[str], node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])
