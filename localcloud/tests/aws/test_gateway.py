"""The API gateway, in front of a backend that returns the request that it received."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from localcloud.aws.gateway.server import ApiGateway
from localcloud.errors import CallerError
from localcloud.faults.rules import Fault, Kind
from localcloud.tests.waiting import LIMIT_S

# Ends the backend's slow response.
_released = threading.Event()


class _Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/slow":
            _released.wait()
        seen = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body[:50].hex()}
        answer = gzip.compress(json.dumps(seen).encode())
        if self.path == "/huge":
            answer = b"x" * (10 * 1024 * 1024 + 1)
        self.send_response(202 if self.path == "/later" else 200)
        self.send_header("Content-Encoding", "identity" if self.path == "/huge" else "gzip")
        self.send_header("Content-MD5", "kept")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def backend_url() -> Iterator[str]:
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    thread = threading.Thread(target=backend.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{backend.server_port}"
    _released.set()
    backend.shutdown()
    thread.join()
    backend.server_close()


@pytest.fixture(scope="module")
def gateway(backend_url: str) -> Iterator[ApiGateway]:
    gateway = ApiGateway(backend_url=backend_url, injected_headers={"x-gateway": "proof"}, timeout_s=LIMIT_S)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def short_gateway(backend_url: str) -> Iterator[ApiGateway]:
    """A gateway with a short integration timeout."""
    gateway = ApiGateway(backend_url=backend_url, injected_headers={}, timeout_s=0.3)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def client(gateway: ApiGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=LIMIT_S) as client:
        yield client


def test_path_query_and_headers_are_forwarded_and_injected_headers_win(client: httpx.Client) -> None:
    answer = client.post(
        "predict/churn?a=1&b=%20x",
        content=b'{"data": []}',
        headers={"sf-external-function-query-batch-id": "b1", "X-Gateway": "forged"},
    )
    seen = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-md5"] == "kept"
    assert (seen["method"], seen["path"]) == ("POST", "/predict/churn?a=1&b=%20x")
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert headers["sf-external-function-query-batch-id"] == "b1"
    assert headers["x-gateway"] == "proof"
    assert client.get("later").status_code == 202


def test_gzip_bodies_arrive_decompressed_with_the_header_unchanged(client: httpx.Client) -> None:
    seen = client.post("p", content=gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"}).json()
    assert bytes.fromhex(seen["body"]) == b"plain"
    assert seen["headers"]["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("path", "request_", "status", "message"),
    [
        ("huge", {}, 500, "Internal server error"),
        ("p", {"content": b"x" * (10 * 1024 * 1024 + 1)}, 413, "HTTP content length exceeded 10485760 bytes."),
        (
            "p",
            {"content": gzip.compress(b"x" * (10 * 1024 * 1024 + 1)), "headers": {"Content-Encoding": "gzip"}},
            413,
            "HTTP content length exceeded 10485760 bytes.",
        ),
        ("p", {"headers": {"x-long": "y" * 10_240}}, 431, "HTTP header is larger than 10240 bytes"),
        ("/other-stage/p", {}, 403, "Forbidden"),
    ],
)
def test_the_gateways_error_responses(
    gateway: ApiGateway, path: str, request_: dict[str, object], status: int, message: str
) -> None:
    url = gateway.url.rpartition("/prod/")[0] + path if path.startswith("/") else gateway.url + path
    answer = httpx.post(url, timeout=LIMIT_S, **request_)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (status, {"message": message})


@pytest.mark.parametrize(("path", "delay_s"), [("slow", 0), ("p", 60)])
def test_the_integration_timeout(short_gateway: ApiGateway, path: str, delay_s: float) -> None:
    if delay_s:
        short_gateway.faults.add(Fault("gateway:*", Kind.SLOW, seconds=delay_s))
    answer = httpx.post(short_gateway.url + path, timeout=LIMIT_S)
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})


def test_other_methods_are_not_routed(client: httpx.Client) -> None:
    answer = client.delete("p")
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_a_backend_that_is_down_and_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(CallerError, match="cannot be used"):
            ApiGateway(backend_url="http://127.0.0.1:1", injected_headers={}, port=taken).start()
    gateway = ApiGateway(backend_url=f"http://127.0.0.1:{taken}", injected_headers={}, stage="v1")
    gateway.start()
    try:
        answer = httpx.post(gateway.url + "p", timeout=LIMIT_S)
    finally:
        gateway.stop()
    assert (answer.status_code, answer.json()) == (504, {"message": "Network error communicating with endpoint"})


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (Fault("gateway:POST", Kind.THROTTLE), 429, "Too Many Requests"),
        (Fault("gateway:POST", Kind.ERROR), 500, "Internal server error"),
        (Fault("gateway:POST", Kind.DROP), 504, "Network error communicating with endpoint"),
        (Fault("gateway:POST", Kind.LOSE), 504, "Network error communicating with endpoint"),
    ],
)
def test_fault_rules_apply_to_requests_to_the_backend(
    gateway: ApiGateway, client: httpx.Client, fault: Fault, status: int, message: str
) -> None:
    gateway.faults.add(replace(fault, resource="/p", count=1))
    assert client.post("q").status_code == 200
    answer = client.post("p")
    assert (answer.status_code, answer.json()) == (status, {"message": message})
    assert client.post("p").status_code == 200
    gateway.faults.clear()


def test_a_damaged_response_keeps_the_digest_of_the_original(gateway: ApiGateway, client: httpx.Client) -> None:
    def fetch() -> bytes:
        with client.stream("POST", "p") as answer:
            assert answer.headers["content-md5"] == "kept"
            return b"".join(answer.iter_raw())

    right = fetch()
    gateway.faults.add(Fault("gateway:POST", Kind.CORRUPT, count=1))
    wrong = fetch()
    gateway.faults.clear()
    assert len(wrong) == len(right)
    assert wrong != right


def test_requests_above_the_burst_are_throttled() -> None:
    gateway = ApiGateway(backend_url="http://127.0.0.1:1", injected_headers={}, rate=0.001, burst=2)
    gateway.start()
    try:
        with httpx.Client(base_url=gateway.url, timeout=LIMIT_S) as client:
            answers = [client.post("p") for _ in range(3)]
    finally:
        gateway.stop()
    assert [answer.status_code for answer in answers] == [504, 504, 429]
    assert answers[2].json() == {"message": "Too Many Requests"}
    assert answers[2].headers["x-amzn-errortype"] == "TooManyRequestsException"
