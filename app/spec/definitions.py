"""Checks a pipeline's Python and SQL files without a warehouse: they can be read, and hold what the pipeline file names.

Only Snowflake knows tables and columns, so a definition that passes may still fail when it runs.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from app.spec.reading import PipelineFile
from app.sql import split_script


def check_definitions(file: PipelineFile) -> list[str]:
    """One sentence for each fault, with file and line; empty if there is none."""
    pipeline = file.pipeline
    defines = dict.fromkeys([*(view.define for view in pipeline.features), pipeline.label.define])
    return [fault for define in defines if define for fault in _faults(file.folder, define, list(pipeline.sources))]


def _faults(folder: Path, define: str, sources: list[str]) -> Iterator[str]:
    name, _, function = define.partition(":")
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        yield f"{path}: this is not UTF-8 text: byte {error.start} is no character"
        return
    yield from _python_faults(path, text, function) if function else _sql_faults(path, text, sources)


def _python_faults(path: Path, text: str, function: str) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        yield f"{path}{f':{line}' if line else ''}: this is not Python: {getattr(error, 'msg', error)}"
        return
    found = {name: node for node in tree.body for name in _bound(node)}
    if function not in found:
        near = difflib.get_close_matches(function, found, n=1)
        yield f"{path}: there is no function {function}; " + (
            f"did you mean {near[0]}?" if near else f"define it as `def {function}(sources, as_of): ...`"
        )
        return
    node = found[function]
    if isinstance(node, ast.FunctionDef) and not _takes_two(node.args):
        yield f"{path}:{node.lineno}: {function} must take two arguments: `def {function}(sources, as_of): ...`"


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.Try | ast.With):
        yield from (
            name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        )
        yield from (inner.name for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef))


def _takes_two(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    required_names = [value for value in arguments.kw_defaults if value is None]
    return required <= 2 and (positional >= 2 or arguments.vararg is not None) and not required_names


def _sql_faults(path: Path, text: str, sources: list[str]) -> Iterator[str]:
    statements = split_script(text)
    if len(statements) != 1:
        yield f"{path}: a view is one query; the file has {len(statements)} statements"
        return
    query, line = statements[0].text, statements[0].line
    if not re.match(r"\(*\s*(SELECT|WITH)\b", query, re.IGNORECASE):
        yield f"{path}:{line}: a view is a query; it begins with SELECT or WITH"
    elif not any(re.search(rf"\b{re.escape(name)}\b", query, re.IGNORECASE) for name in sources):
        yield f"{path}:{line}: the query reads no source; the pipeline's sources are {', '.join(sources)}"
