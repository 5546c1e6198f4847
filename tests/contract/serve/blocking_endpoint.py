"""An endpoint that blocks until it is released, and helpers to observe the waiting service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx
import numpy as np

from sagemaker_entry import npy
from tests.contract.serve.load import BODY, head
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import FakeEndpoint

BATCH = {"data": [[0, 1, 2, 3]]}
ASK = head("/predict/churn", len(BODY)) + BODY


def port_of(service: Service) -> int:
    return httpx.URL(str(service.client.base_url)).port or 0


def zeros(matrix: np.ndarray) -> bytes:
    return npy.encode(np.zeros(len(matrix), np.float32))


class BlockingEndpoint(FakeEndpoint):
    """Blocks calls of the endpoints in ``held`` until ``release`` is set."""

    def __init__(self, *held: str) -> None:
        super().__init__(self._answer)
        self.held, self.release, self.began = held, threading.Event(), threading.Semaphore(0)

    def _answer(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if endpoint in self.held:
            self.began.release()
            assert self.release.wait(60)
        return zeros(matrix)


def metric(service: Service, line: str) -> float:
    found = [text for text in service.get("/metrics").text.splitlines() if text.startswith(f"snowsage_serve_{line}")]
    return sum(float(text.rpartition(" ")[2]) for text in found)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
