"""Fakes of the service's two ports, and values that its tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from app.deploy.live import LiveVersion, live_uri
from app.errors import NotFound
from app.ports import Invocation, Invoked, StoredObject
from app.serve.http.problems import response_to
from sagemaker_entry import npy
from sagemaker_entry.contract import Column, Contract

BUCKET = "lake"
SECRET = "correct-horse"

CONTRACT = Contract((Column("SPENT"), Column("ORDERS"), Column("VISITS")), key=("CUSTOMER_ID",), label="CHURNED")


def live_version(
    model: str = "churn",
    version: str = "v1",
    contract: Contract = CONTRACT,
    endpoint: str = "churn-endpoint",
    key: str | None = None,
) -> LiveVersion:
    """A live version with defaults for all that a test does not set."""
    return LiveVersion(model, version, contract, endpoint, f"s3://{BUCKET}/{model}/model.tar.gz", "d1" * 32, key)


class Clock:
    """A clock that tests advance; ``sleep`` advances it too and records the duration."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class MemoryStore:
    """The part of ``ObjectStore`` that the service uses. ``failure``: raised by every call while it is set."""

    def __init__(self, *live: LiveVersion) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.tags: dict[str, str] = {}
        self.failure: Exception | None = None
        for version in live:
            self.put(version)

    def put(self, live: LiveVersion) -> None:
        self.objects[live_uri(BUCKET, live.model)] = live.to_json()

    def read(self, uri: str) -> bytes:
        self.reads.append(uri)
        if self.failure:
            raise self.failure
        if uri not in self.objects:
            raise NotFound(f"there is no {uri}")
        return self.objects[uri]

    def write(self, uri: str, body: bytes) -> None:
        if self.failure:
            raise self.failure
        self.objects[uri] = body

    def create(self, uri: str, body: bytes, tags: Mapping[str, str]) -> bool:
        if self.failure:
            raise self.failure
        self.tags.update(tags)
        return self.objects.setdefault(uri, body) is body

    def list_below(self, prefix_uri: str) -> list[StoredObject]:
        if self.failure:
            raise self.failure
        return [
            StoredObject(uri, len(body)) for uri, body in sorted(self.objects.items()) if uri.startswith(prefix_uri)
        ]

    def download(self, uri: str, path: Path) -> None:
        path.write_bytes(self.read(uri))

    def folders(self, prefix_uri: str) -> list[str]:
        if self.failure:
            raise self.failure
        return sorted({uri.removeprefix(prefix_uri).split("/")[0] for uri in self.objects})


class RawEndpoint:
    """``ScoringEndpoint`` that responds by a function of the invocation and records the invocations."""

    def __init__(self, respond: Callable[[Invocation], Invoked]) -> None:
        self.respond = respond
        self.invocations: list[Invocation] = []

    @property
    def bodies(self) -> list[bytes]:
        return [invocation.body for invocation in self.invocations]

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        self.invocations.append(invocation)
        return self.respond(invocation)


HttpResponse = Callable[[str, np.ndarray, str], bytes]


class FakeEndpoint(RawEndpoint):
    """An endpoint that runs the entry code: responds by a function of (endpoint, matrix, fingerprint)."""

    def __init__(self, answer: HttpResponse | None = None) -> None:
        super().__init__(self._read)
        self.answer = answer or (lambda endpoint, matrix, fingerprint: npy.encode(np.nan_to_num(matrix).sum(axis=1)))

    def _read(self, invocation: Invocation) -> Invoked:
        media_type, _, fingerprint = invocation.content_type.partition("; contract=")
        assert media_type == invocation.accept == "application/x-npy"
        matrix = npy.decode(invocation.body)
        return Invoked(self.answer(invocation.endpoint, matrix, fingerprint), invocation.variant)


def status_of(error: Exception) -> int:
    """The HTTP status of the service's response to ``error``."""
    return response_to(error, "/").status
