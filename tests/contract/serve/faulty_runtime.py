"""A SageMaker runtime on loopback with injectable faults, and the product's adapter connected to it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import numpy as np
import pytest

from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.session import AwsSession
from sagemaker_entry import npy

Behaviour = Callable[["_Request"], None]


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyRuntime

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.asked += 1
        self.server.behave(self)

    def answer(self, status: int, body: bytes, cut: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def end_connection(self) -> None:
        """Reset the connection, as a host that fails does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        return


class FaultyRuntime(ThreadingHTTPServer):
    """``behave`` handles each request and may be changed at any time. ``asked``: the number of requests so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.lock = threading.Lock()
        self.asked = 0
        self.behave: Behaviour = well
        self.abandoned = threading.Event()

    def handle_error(self, *_: object) -> None:
        return  # a connection that the test reset


def _scores(request: _Request) -> bytes:
    return npy.encode(np.nan_to_num(npy.decode(request.body)).sum(axis=1, dtype=np.float32))


def _error(code: str, status: int, **fields: object) -> Behaviour:
    body = json.dumps({"message": "as the test wants it", **fields}).encode()
    return lambda request: request.answer(status, body, x_amzn_ErrorType=code)


def well(request: _Request) -> None:
    request.answer(200, _scores(request))


def reset(request: _Request) -> None:
    request.end_connection()


def cut(request: _Request) -> None:
    scores = _scores(request)
    request.answer(200, scores, cut=len(scores) - 2)
    request.close_connection = True


def cut_text(request: _Request) -> None:
    request.answer(200, b"scores", cut=4)
    request.close_connection = True


def ended(request: _Request) -> None:
    """The connection's end instead of a response."""
    request.close_connection = True


def hang(request: _Request) -> None:
    """No response until the caller disconnects."""
    if request.connection.recv(1) == b"":
        request.server.abandoned.set()
    request.close_connection = True


throttled = _error("ThrottlingException", 400)
unavailable = _error("ServiceUnavailable", 503)
model_failed = _error("ModelError", 424, OriginalStatusCode=500, OriginalMessage="Internal Server Error")
refused = _error("ModelError", 424, OriginalStatusCode=400, OriginalMessage="made to another contract")


@contextmanager
def faulty_runtime_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyRuntime]:
    """The running runtime, whose address boto3 finds in the environment."""
    runtime = FaultyRuntime()
    thread = threading.Thread(target=runtime.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{runtime.server_port}")
        yield runtime
    finally:
        runtime.shutdown()
        thread.join()
        runtime.server_close()


@contextmanager
def faulty_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyRuntime, SageMakerEndpoint]]:
    """The running runtime, and an adapter configured with its address."""
    with faulty_runtime_at(monkeypatch) as runtime:
        session = boto3.Session("test", "test", region_name="us-east-1")
        yield runtime, SageMakerEndpoint(AwsSession(session), connections=8)
