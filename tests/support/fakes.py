"""Fakes of the ports: they record calls and return scripted answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.errors import NotFound
from app.ports import (
    ColumnType,
    EndpointRequest,
    EndpointState,
    Result,
    Row,
    StoredObject,
    Table,
    TrainingJob,
    TrainingRequest,
    Versioned,
)
from app.sql import Statement

Answer = Table | Exception | list[Row] | Callable[[Statement], Table]


class FakeWarehouse:
    """``ports.Warehouse``. ``answers``: part of a statement's text -> its answer. The first match counts; the default is no rows.

    ``columns``: part of a query -> the result of ``describe``. ``compiled``: the query of a Snowpark definition.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        columns: Mapping[str, Sequence[ColumnType]] | None = None,
        compiled: str = "SELECT 1",
    ) -> None:
        self.answers = dict(answers or {})
        self.columns = dict(columns or {})
        self.compiled = compiled
        self.statements: list[Statement] = []
        self.tags: list[str] = []
        self.transactions: list[tuple[Statement, ...]] = []
        self.described: list[str] = []
        #: Questions about columns: queries that are described together count as one.
        self.questions = 0

    def run(self, statement: Statement) -> Table:
        self.statements.append(statement)
        for part, answer in self.answers.items():
            if part in statement.text:
                return _answered(answer, statement)
        return Table((), [])

    def tag(self, text: str) -> None:
        self.tags.append(text)

    def run_atomically(self, statements: Sequence[Statement]) -> list[Table]:
        self.transactions.append(tuple(statements))
        return [self.run(statement) for statement in statements]

    def run_together(self, work: Sequence[Callable[[], Result]]) -> list[Result]:
        return [each() for each in work]

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        self.described.append(query)
        self.questions += 1
        return next((tuple(found) for part, found in self.columns.items() if part in query), ())

    def describe_all(self, queries: Sequence[str]) -> list[tuple[ColumnType, ...]]:
        self.questions -= max(len(queries) - 1, 0)
        return [self.describe(query) for query in queries]

    def compile(self, build: Callable[[Any], Any], described: MutableMapping[str, Any] | None = None) -> str:
        return self.compiled

    def close(self) -> None:
        pass

    @property
    def texts(self) -> list[str]:
        """The texts of the statements, in the order of execution."""
        return [statement.text for statement in self.statements]


def changing_sources(*names: str) -> Callable[[Statement], Table]:
    """The answer for the state of sources that have rows in each interval between two times."""

    def answer(statement: Statement) -> Table:
        intervals = range(statement.text.count("WHEN EVENT_TIME <"))
        at = [datetime(1997, 1, 1) + timedelta(days=index) for index in intervals]
        return Table((), [(name, index, 7, 12 + index, at[index], at[index]) for name in names for index in intervals])

    return answer


def counted_slices(times: Iterable[datetime], rows: int, distinct: int) -> Callable[[Statement], Table]:
    """The answer for the counts of slices: all views of the statement at ``times``."""

    def answer(statement: Statement) -> Table:
        views = re.findall(r"SELECT '(\w+)' AS VIEW_NAME", statement.text)
        return Table((), [(view, as_of, rows, distinct, "{}") for view in views for as_of in times])

    return answer


def _answered(answer: Answer, statement: Statement) -> Table:
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, list):
        return Table((), answer)
    return answer if isinstance(answer, Table) else answer(statement)


class FakeStore:
    """``ports.ObjectStore`` in memory. ``writes``: URIs in the order of the writes. ``clock``: seconds, for the ages of objects."""

    def __init__(self, objects: Mapping[str, bytes] | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.objects = dict(objects or {})
        self.writes: list[str] = []
        self._clock = clock
        self._versions: dict[str, tuple[int, float]] = {}

    def read(self, uri: str) -> bytes:
        if uri not in self.objects:
            raise NotFound(f"there is no {uri}")
        return self.objects[uri]

    def write(self, uri: str, body: bytes) -> None:
        self.writes.append(uri)
        self.objects[uri] = body
        self._versions[uri] = self._versions.get(uri, (0, 0.0))[0] + 1, self._clock()

    def read_versioned(self, uri: str) -> Versioned:
        body = self.read(uri)
        number, at_s = self._versions.get(uri, (0, 0.0))
        return Versioned(body, str(number), self._clock() - at_s)

    def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
        if etag != (self.read_versioned(uri).etag if uri in self.objects else None):
            return None
        self.write(uri, body)
        return self.read_versioned(uri).etag

    def delete(self, uri: str, etag: str) -> bool:
        if uri not in self.objects or self.read_versioned(uri).etag != etag:
            return False
        del self.objects[uri]
        return True

    def create(self, uri: str, body: bytes, tags: Mapping[str, str]) -> bool:
        if uri in self.objects:
            return False
        self.write(uri, body)
        return True

    def download(self, uri: str, path: Path) -> None:
        path.write_bytes(self.read(uri))

    def list_below(self, prefix_uri: str) -> list[StoredObject]:
        return [
            StoredObject(uri, len(body)) for uri, body in sorted(self.objects.items()) if uri.startswith(prefix_uri)
        ]

    def folders(self, prefix_uri: str) -> list[str]:
        below = [uri.removeprefix(prefix_uri) for uri in self.objects if uri.startswith(prefix_uri)]
        return sorted({name.split("/")[0] for name in below if "/" in name})

    def delete_below(self, prefix_uri: str) -> None:
        self.objects = {uri: body for uri, body in self.objects.items() if not uri.startswith(prefix_uri)}


class FakeTraining:
    """``ports.TrainingService``. ``states``: the results of ``describe`` in order; the last one repeats."""

    def __init__(self, found: TrainingJob | None, *states: TrainingJob, log: Sequence[str] = ()) -> None:
        self.found = found
        self.states = list(states)
        self.log = list(log)
        self.submitted: list[tuple[str, TrainingRequest]] = []
        #: The names of jobs that another process started.
        self.taken: set[str] = set()
        self.described: list[str] = []

    def reach(self, instance_type: str, count: int, *, spot: bool) -> None:
        pass

    def find(self, name_prefix: str) -> TrainingJob | None:
        return self.found

    def submit(self, request: TrainingRequest, name: str) -> bool:
        if name in self.taken:
            return False
        self.submitted.append((name, request))
        return True

    def describe(self, name: str) -> TrainingJob:
        self.described.append(name)
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def log_tail(self, name: str, lines: int) -> list[str]:
        return self.log[-lines:]


class FakeHosting:
    """``ports.HostingService``. ``states`` as for :class:`FakeTraining`. ``tagged``: the tags of an existing endpoint."""

    def __init__(
        self, *states: EndpointState | None, log: Sequence[str] = (), tagged: Mapping[str, str] | None = None
    ) -> None:
        self.tagged = tagged
        self.states = list(states)
        self.log = list(log)
        self.applied: list[EndpointRequest] = []

    def describe(self, endpoint: str) -> EndpointState | None:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def tags(self, endpoint: str) -> Mapping[str, str] | None:
        return self.tagged

    def apply(self, request: EndpointRequest) -> None:
        self.applied.append(request)

    def log_tail(self, endpoint: str, lines: int) -> list[str]:
        return self.log[-lines:]


class FakeService:
    """``ports.ServiceControl`` that serves ``version``. ``refreshed``: the models of the refresh requests."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.refreshed: list[str] = []

    def reach(self) -> None:
        pass

    def refresh(self, model: str) -> Mapping[str, Any]:
        self.refreshed.append(model)
        return {"model": model, "version": self.version}
