"""HTTP as bytes on a socket, for requests that no client library sends."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from tests.contract.serve.service import Service
from tests.unit.serve.fakes import SECRET

HOST = "Host: x\r\n"
CREDENTIAL = f"X-Snowsage-Secret: {SECRET}\r\n"
BODY = '{"data":[[0,1,2,3]]}'

_LONGEST_S = 10


@dataclass(frozen=True)
class Answer:
    """One response. ``headers``: names in lower case; of repeated ones the last."""

    status: int
    headers: dict[str, str]
    body: bytes


def post(*lines: str, path: str = "/predict/churn", credential: str = CREDENTIAL) -> str:
    """The request line and headers of a POST, without the empty line at the end."""
    return f"POST {path} HTTP/1.1\r\n{HOST}{credential}" + "".join(f"{line}\r\n" for line in lines)


def get(path: str, method: str = "GET") -> str:
    """A complete request without a body."""
    return f"{method} {path} HTTP/1.1\r\n{HOST}{CREDENTIAL}\r\n"


def chunked(*pieces: str) -> str:
    """A chunked body up to the last, empty chunk; the caller adds trailers and the end."""
    return "".join(f"{len(piece.encode()):x}\r\n{piece}\r\n" for piece in pieces) + "0\r\n"


def open_to(service: Service) -> socket.socket:
    """A connection to the service."""
    url = service.client.base_url
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=_LONGEST_S)


def until_closed(service: Service, request: str | Iterable[str], *, cut: bool = False) -> list[Answer]:
    """All responses on a connection that the service must close. ``cut``: the client ends its side after ``request``.

    Several pieces are sent one after the other, each in its own segment.
    """
    with open_to(service) as connection:
        try:
            send(connection, request)
            if cut:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # rejected before all of it was sent
        received = bytearray()
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # closed with unread bytes
        return read_all(bytes(received))


def all_within(service: Service, request: str, seconds: float) -> list[Answer]:
    """The responses until the service closes the connection or is silent for ``seconds``."""
    received = bytearray()
    with open_to(service) as connection:
        try:
            send(connection, request)
            connection.settimeout(seconds)
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
    return read_all(bytes(received))


def send(connection: socket.socket, request: str | Iterable[str]) -> None:
    """Send ``request``, each piece in its own segment."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in [request] if isinstance(request, str) else request:
        connection.sendall(piece.encode("latin-1"))


def exchange(
    service: Service, request: str | Iterable[str], answers: int = 1, *, head_only: bool = False
) -> list[Answer]:
    """The first ``answers`` responses on a connection that the service may keep open. ``head_only``: they have no bodies."""
    with open_to(service) as connection:
        send(connection, request)
        stream = connection.makefile("rb")
        found: list[Answer] = []
        while len(found) < answers:
            lines = iter(stream.readline, b"\r\n")
            status, headers = _head(list(lines))
            if status < 200:
                continue  # an interim response
            length = 0 if head_only else int(headers.get("content-length", 0))
            found.append(Answer(status, headers, stream.read(length)))
        return found


def read_all(received: bytes) -> list[Answer]:
    """The responses in ``received``."""
    found: list[Answer] = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, received[:200]
        status, headers = _head(head.split(b"\r\n"))
        length = int(headers.get("content-length", 0))  # none if the response is incomplete
        found.append(Answer(status, headers, rest[:length]))
        received = rest[length:]
    return found


def metric(service: Service, name: str) -> float:
    """The sum of a metric's samples."""
    lines = [line for line in service.get("/metrics").text.splitlines() if line.startswith(f"snowsage_serve_{name}")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def answer_to_valid_batch(service: Service) -> httpx.Response:
    """The service's response to a valid batch."""
    return service.post("/predict/churn", content=BODY)


def _head(lines: list[bytes]) -> tuple[int, dict[str, str]]:
    version, status, *_ = lines[0].split(b" ")
    assert version == b"HTTP/1.1"
    pairs = (line.decode("latin-1").rstrip("\r\n").partition(": ") for line in lines[1:])
    return int(status), {name.lower(): value for name, _, value in pairs}
