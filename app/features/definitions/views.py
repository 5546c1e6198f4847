"""Compiles a feature view or label into one query over sources that end at a given time, so that it cannot use the future.

A definition is a Python function over Snowpark or a .sql file; nothing is run here. As-of times are naive datetimes in UTC,
since TIMESTAMP_NTZ has no zone and compares with DATE columns.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import CallerError, SnowsageError
from app.features.definitions.reads import Definition
from app.features.tiles.computed import source_queries, tiles_name
from app.ports import Warehouse
from app.spec.schema import Source
from app.sql import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The end of a statement: a semicolon, and comments after it.
_END = re.compile(r";\s*(--[^\n]*\s*)*\Z")
_AS_OF = re.compile(r"(?<![:\w]):as_of\b", re.IGNORECASE)


@dataclass(frozen=True)
class View:
    """A definition that is loaded: a Python function, or the text of a .sql file.

    ``described``: Snowflake's answers about the columns of frames, which all as-of times and views share.
    """

    define: str
    path: Path
    function: Callable[[Mapping[str, Any], datetime], Any] | None
    text: str
    described: MutableMapping[str, Any]

    def query(self, warehouse: Warehouse, sources: Mapping[str, Source], as_of: datetime, cut: datetime) -> str:
        """The query at ``as_of``; its sources hold only rows before ``cut``."""
        if self.function is None:
            return _sql_query(self.text, sources, as_of, cut)
        try:
            return warehouse.compile(self._build(sources, as_of, cut), self.described)
        except SnowsageError as error:
            raise type(error)(f"{self.define}: {error}") from error

    def definition(self, sources: Mapping[str, Source]) -> Definition:
        """Where its queries come from."""
        if self.function is not None:
            return Definition(self.define)
        skipped = len(self.text) - len(self.text.lstrip())
        return Definition(self.define, len(source_queries(sources, datetime.max)) + 1 - self.text[:skipped].count("\n"))

    def _build(self, sources: Mapping[str, Source], as_of: datetime, cut: datetime) -> Callable[[Any], Any]:
        def build(session: Any) -> Any:
            given = frames(session, sources, cut)
            assert self.function is not None
            try:
                return self.function(given, as_of)
            except Exception as error:
                if type(error).__module__.startswith("snowflake"):
                    raise  # the warehouse's own message, translated by its adapter
                raise CallerError(f"{_place(error, self.path)}: {type(error).__name__}: {error}") from error

        return build


def load_view(folder: Path, define: str, described: MutableMapping[str, Any] | None = None) -> View:
    """The definition ``define`` of a pipeline's folder. Raises CallerError for Python that cannot be loaded."""
    file, _, name = define.partition(":")
    path = folder / file
    known = {} if described is None else described
    if name:
        return View(define, path, _load_function(path, name), "", known)
    return View(define, path, None, path.read_text(encoding="utf-8"), known)


def _sql_query(text: str, sources: Mapping[str, Source], as_of: datetime, cut: datetime) -> str:
    """The file's query below common table expressions with the sources' names."""
    cuts = ",\n".join(f"{name} AS ({query})" for name, query in source_queries(sources, cut).items())
    body = _END.sub("", _AS_OF.sub(lambda _: timestamp(as_of), text)).strip()
    return f"WITH {cuts}\nSELECT * FROM (\n{body}\n)"


def frames(session: Any, sources: Mapping[str, Source], cut: datetime) -> dict[str, Any]:
    """The sources as DataFrames that end at ``cut``, and as Tiled those that declare tiles."""
    from app.features.aggregates import Tiled

    # As subqueries of their own, so that the compiled query shows which tables are cut.
    queries = source_queries(sources, cut)
    made: dict[str, Any] = {name: session.sql(f"SELECT * FROM ({query})") for name, query in queries.items()}
    for name, source in sources.items():
        if source.tiles is not None and source.event_time is not None:
            tiles, key, measures = made[tiles_name(name)], source.tiles.key, source.tiles.measures
            made[tiles_name(name)] = Tiled(tiles, made[name], key, source.event_time, measures)
    return made


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
