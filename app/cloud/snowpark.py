"""Snowpark: turns a DataFrame that a definition builds into the text of one query, with as few questions to Snowflake as it can.

Snowpark asks Snowflake for the columns of every frame that is joined, and names columns by random letters and by a counter of the
process. Here each distinct question is asked once, and the names begin again with each query, so that equal definitions give
equal texts.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.errors import CallerError

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Times in a query's text. They change no column's name or type, so queries that differ in nothing else have the same columns.
_TIME = re.compile(r"'\d{4}-\d\d-\d\d[^']*'")

#: Names of objects that live as long as the session. Names of common table expressions and of columns are none.
_TEMPORARY = re.compile(r"SNOWPARK_TEMP_(?!CTE_|COLUMN_)([A-Z_]+)_[A-Z0-9]{10}")

_one_at_a_time = threading.Lock()


class SnowparkSession:
    """A Snowpark session over a connection, opened by the first query."""

    def __init__(self, connection: SnowflakeConnection) -> None:
        self._connection = connection
        self._session: Any = None

    def compile(self, build: Callable[[Any], Any], described: MutableMapping[str, Any]) -> str:
        """The one query of the frame that ``build`` makes. ``described``: answers of earlier calls; new ones are added."""
        from snowflake.snowpark import DataFrame

        session = self._opened()
        with _one_at_a_time, _stable_names(), _described_once(session, described):
            frame = build(session)
            if not isinstance(frame, DataFrame):
                raise CallerError(f"must return a Snowpark DataFrame, it returned {type(frame).__name__}")
            queries = frame.queries["queries"]
        if len(queries) != 1:
            raise CallerError(
                f"must be one query, it is {len(queries)}; leave out cache_result() and other steps that store something"
            )
        if found := _TEMPORARY.search(queries[0]):
            kind = found[1].lower().replace("_", " ")
            raise CallerError(
                f"uses a temporary {kind}, which exists only in this session and can change without a trace; create a "
                f"permanent {kind} in Snowflake and use it by its name"
            )
        return str(queries[0])

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _opened(self) -> Any:
        if self._session is None:
            from snowflake.snowpark import Session

            self._session = Session.builder.configs({"connection": self._connection}).create()
        return self._session


@contextmanager
def _stable_names() -> Iterator[None]:
    """Snowpark has no setting for the names that it invents; these are the two places that it takes them from."""
    from snowflake.snowpark._internal import utils

    invented, letters = utils.Random, random.Random(0)  # noqa: S311 - names, not secrets
    utils.Random = lambda: letters
    utils.global_counter.reset()
    try:
        yield
    finally:
        utils.Random = invented


@contextmanager
def _described_once(session: Any, described: MutableMapping[str, Any]) -> Iterator[None]:
    ask = session._get_result_attributes

    def answer(query: str, parameters: Any = None) -> Any:
        shape = f"{_TIME.sub('?', query)}\0{parameters or ''}"
        if shape not in described:
            described[shape] = ask(query, parameters)
        return list(described[shape])

    session._get_result_attributes = answer
    try:
        yield
    finally:
        session._get_result_attributes = ask
