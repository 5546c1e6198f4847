"""The service under uvicorn, with endpoints that run the functions of a SageMaker container."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import xgboost

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.ports import Invocation, Invoked, ScoringEndpoint
from app.serve.application import create_app
from app.serve.process.server import Server
from app.settings import ServeSettings
from sagemaker_entry import inference, npy
from tests.unit.serve.fakes import BUCKET, SECRET, MemoryStore


def fast_clock() -> float:
    """A clock that runs ten thousand times as fast, so no test waits for the next check of a file or of S3."""
    return time.monotonic() * 10_000


class ModelEndpoint:
    """``ScoringEndpoint`` that runs ``sagemaker_entry.inference`` on a saved model. A 4xx becomes CallerError."""

    def __init__(self, folder: Path) -> None:
        self._model = inference.model_fn(str(folder))

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        assert invocation.accept == npy.CONTENT_TYPE
        payload = inference.input_fn(invocation.body, invocation.content_type)
        answer = inference.output_fn(inference.predict_fn(payload, self._model), npy.CONTENT_TYPE)
        if isinstance(answer, tuple):
            scores, answered_type = answer
            assert answered_type == npy.CONTENT_TYPE
            return Invoked(scores, invocation.variant)
        raise CallerError(answer.get_data(as_text=True))


class BuiltInEndpoint:
    """``ScoringEndpoint`` that handles a CSV as SageMaker's built-in XGBoost container does."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        assert (invocation.content_type, invocation.accept) == ("text/csv", "application/json")
        lines = invocation.body.strip().decode().split("\n")
        delimiter = csv.Sniffer().sniff(lines[0][:512]).delimiter
        table = [["nan" if text == "" else text for text in line.split(delimiter)] for line in lines]
        scores = self._booster.predict(xgboost.DMatrix(np.array(table).astype(np.float64)), validate_features=False)
        answer = {"predictions": [{"score": score} for score in scores.tolist()]}
        return Invoked(json.dumps(answer).encode(), invocation.variant)


class Service:
    """A served application, its store and endpoint, and a client with the secret."""

    def __init__(
        self,
        endpoint: ScoringEndpoint,
        *live: LiveVersion,
        store: MemoryStore | None = None,
        exporter: Any = None,
        clock: Callable[[], float] = time.monotonic,
        **settings: Any,
    ) -> None:
        self.store = store or MemoryStore(*live)
        self.endpoint = endpoint
        self.settings = ServeSettings(bucket=BUCKET, secrets=("retired", SECRET), **settings)
        self.app = create_app(self.settings, self.store, endpoint, exporter, clock=clock)
        self.server: Server | None = None
        self.client = httpx.Client(headers={"x-snowsage-secret": SECRET}, timeout=60, trust_env=False)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.client.post(path, **request)

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.client.get(path, **request)


@contextmanager
def answering(service: Service) -> Iterator[Service]:
    """Run ``service`` under uvicorn in a thread, on a free port. Yields when its preparation has ended, even by a failure."""
    service.server = server = Server(service.settings, service.app)
    server.config.host, server.config.port = "127.0.0.1", 0
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 120
        while not server.started or any(reason.endswith("yet") for reason in service.app.state.readiness.reasons):
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()
        service.client.base_url = f"http://{host}:{port}"
        yield service
    finally:
        service.client.close()
        server.should_exit = True
        thread.join()
