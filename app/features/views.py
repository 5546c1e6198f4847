"""Compiles a feature view or label into one query over sources that end at a given time, so that it cannot use the future.

A definition is a Python function over Snowpark or a .sql file; nothing is run here. As-of times are naive datetimes in UTC,
since TIMESTAMP_NTZ has no zone and compares with DATE columns.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import CallerError, SnowsageError
from app.ports import Warehouse
from app.spec.schema import Source
from app.sql import Name, identifier, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The end of a statement: a semicolon, and comments after it.
_END = re.compile(r";\s*(--[^\n]*\s*)*\Z")
_AS_OF = re.compile(r"(?<![:\w]):as_of\b", re.IGNORECASE)


def view_query(
    warehouse: Warehouse,
    folder: Path,
    define: str,
    sources: Mapping[str, Source],
    as_of: datetime,
    cut: datetime,
) -> str:
    """The query of one view at ``as_of``; its sources hold only rows before ``cut``."""
    file, _, function = define.partition(":")
    path = folder / file
    if not function:
        return _sql_query(path.read_text(encoding="utf-8"), sources, as_of, cut)
    definition = _load_function(path, function)

    def build(session: Any) -> Any:
        frames = {name: _cut_frame(session, source, cut) for name, source in sources.items()}
        try:
            return definition(frames, as_of)
        except Exception as error:
            if type(error).__module__.startswith("snowflake"):
                raise  # the warehouse's own message, translated by its adapter
            raise CallerError(f"{_place(error, path)}: {type(error).__name__}: {error}") from error

    try:
        return warehouse.compile(build)
    except SnowsageError as error:
        raise type(error)(f"{define}: {error}") from error


def cut_query(source: Source, cut: datetime) -> str:
    """A source's rows before ``cut``."""
    return f"SELECT * FROM {Name.parse(source.table).sql} WHERE {identifier(source.event_time)} < {timestamp(cut)}"


def _sql_query(text: str, sources: Mapping[str, Source], as_of: datetime, cut: datetime) -> str:
    """The file's query below common table expressions with the sources' names."""
    cuts = ",\n".join(f"{name} AS ({cut_query(source, cut)})" for name, source in sources.items())
    body = _END.sub("", _AS_OF.sub(lambda _: timestamp(as_of), text)).strip()
    return f"WITH {cuts}\nSELECT * FROM (\n{body}\n)"


def _cut_frame(session: Any, source: Source, cut: datetime) -> Any:
    from snowflake.snowpark.functions import col, lit

    return session.table(Name.parse(source.table).sql).filter(col(identifier(source.event_time)) < lit(cut))


def _load_function(path: Path, function: str) -> Callable[[Mapping[str, Any], datetime], Any]:
    module_name = f"snowsage_view_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with _importable(path.parent):
            spec.loader.exec_module(module)
    except Exception as error:
        raise CallerError(f"{_place(error, path)}: {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise CallerError(f"{path} has no function {function}; define it as `def {function}(sources, as_of): ...`")
    return found  # type: ignore[no-any-return]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a definition import modules of its own folder while it is loaded."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _place(error: Exception, path: Path) -> str:
    """``file:line`` of the user's code that failed: the deepest frame inside the definition's file."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path.resolve()
    ]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    return f"{path}:{lines[-1]}" if lines else str(path)
