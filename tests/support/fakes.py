"""Fakes of the ports: they record calls and return scripted answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.errors import NotFound
from app.ports import (
    ColumnType,
    EndpointRequest,
    EndpointState,
    Row,
    StoredObject,
    Table,
    TrainingJob,
    TrainingRequest,
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
        self.transactions: list[tuple[Statement, ...]] = []
        self.described: list[str] = []

    def run(self, statement: Statement) -> Table:
        self.statements.append(statement)
        for part, answer in self.answers.items():
            if part in statement.text:
                return _answered(answer, statement)
        return Table((), [])

    def run_atomically(self, statements: Sequence[Statement]) -> list[Table]:
        self.transactions.append(tuple(statements))
        return [self.run(statement) for statement in statements]

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        self.described.append(query)
        return next((tuple(found) for part, found in self.columns.items() if part in query), ())

    def compile(self, build: Callable[[Any], Any]) -> str:
        return self.compiled

    def close(self) -> None:
        pass

    @property
    def texts(self) -> list[str]:
        """The texts of the statements, in the order of execution."""
        return [statement.text for statement in self.statements]


def _answered(answer: Answer, statement: Statement) -> Table:
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, list):
        return Table((), answer)
    return answer if isinstance(answer, Table) else answer(statement)


class FakeStore:
    """``ports.ObjectStore`` in memory. ``writes``: URIs in the order of the writes."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.writes: list[str] = []

    def read(self, uri: str) -> bytes:
        if uri not in self.objects:
            raise NotFound(f"there is no {uri}")
        return self.objects[uri]

    def write(self, uri: str, body: bytes) -> None:
        self.writes.append(uri)
        self.objects[uri] = body

    def download(self, uri: str, path: Path) -> None:
        path.write_bytes(self.read(uri))

    def list_below(self, prefix_uri: str) -> list[StoredObject]:
        return [
            StoredObject(uri, len(body)) for uri, body in sorted(self.objects.items()) if uri.startswith(prefix_uri)
        ]

    def folders(self, prefix_uri: str) -> list[str]:
        return sorted(
            {uri.removeprefix(prefix_uri).split("/")[0] for uri in self.objects if uri.startswith(prefix_uri)}
        )

    def delete_below(self, prefix_uri: str) -> None:
        self.objects = {uri: body for uri, body in self.objects.items() if not uri.startswith(prefix_uri)}


class FakeTraining:
    """``ports.TrainingService``. ``states``: the results of ``describe`` in order; the last one repeats."""

    def __init__(self, found: TrainingJob | None, *states: TrainingJob, log: Sequence[str] = ()) -> None:
        self.found = found
        self.states = list(states)
        self.log = list(log)
        self.submitted: list[TrainingRequest] = []
        self.described: list[str] = []

    def find(self, name_prefix: str) -> TrainingJob | None:
        return self.found

    def submit(self, request: TrainingRequest) -> str:
        self.submitted.append(request)
        return f"{request.name_prefix}-submitted"

    def describe(self, name: str) -> TrainingJob:
        self.described.append(name)
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def log_tail(self, name: str, lines: int) -> list[str]:
        return self.log[-lines:]


class FakeHosting:
    """``ports.HostingService``. ``states`` as for :class:`FakeTraining`."""

    def __init__(self, *states: EndpointState | None, log: Sequence[str] = ()) -> None:
        self.states = list(states)
        self.log = list(log)
        self.applied: list[EndpointRequest] = []

    def describe(self, endpoint: str) -> EndpointState | None:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def apply(self, request: EndpointRequest) -> None:
        self.applied.append(request)

    def log_tail(self, endpoint: str, lines: int) -> list[str]:
        return self.log[-lines:]


class FakeService:
    """``ports.ServiceControl`` that serves ``version``. ``refreshed``: the models of the refresh requests."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.refreshed: list[str] = []

    def refresh(self, model: str) -> Mapping[str, Any]:
        self.refreshed.append(model)
        return {"model": model, "version": self.version}
