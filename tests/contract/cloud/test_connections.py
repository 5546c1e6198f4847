"""Kept HTTP connections: what is read as one response, when a connection is used again, time limits, TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore import exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.cloud.aws.connections import Answer, Connections
from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.session import AwsSession
from app.errors import TransientError
from app.ports import Invocation

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSED = b""
Reply = Callable[[socket.socket], object]


class Server:
    """Answers the requests of each connection with the next of ``replies``: bytes, or what to do with the socket.

    ``accepted``: the number of connections; ``bodies``: of all requests.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.replies: list[bytes | Reply] = []
        self.accepted, self.bodies = 0, list[bytes]()
        self.closed = threading.Semaphore(0)
        self._tls = tls
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while reader.readline():
                    head = list(iter(lambda: reader.readline().rstrip(), b""))
                    (line,) = (line for line in head if line.startswith(b"Content-Length: "))
                    self.bodies.append(reader.read(int(line.partition(b": ")[2])))
                    reply = self.replies.pop(0) if self.replies else OK
                    if reply == CLOSED:
                        return
                    connection.sendall(reply) if isinstance(reply, bytes) else reply(connection)
        except OSError:
            pass
        finally:
            connection.close()
            self.closed.release()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@contextmanager
def connected(port: int, kept: int = 2) -> Iterator[Callable[..., Answer]]:
    """``ask(body, timeout_s)`` over one pool of connections, which are closed at the end."""
    url = f"http://127.0.0.1:{port}"
    pool = Connections(url, kept, 2.0, "")

    def ask(body: bytes = b"body", timeout_s: float = 30.0) -> Answer:
        head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body)
        return pool.post(f"{url}/", head, body, timeout_s)

    yield ask


def reply(*parts: bytes, end: bool = False) -> Reply:
    """Send ``parts`` one by one, and end the connection if ``end``."""

    def act(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        if end:
            connection.shutdown(socket.SHUT_WR)

    return act


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
RESPONSES: list[tuple[bytes | Reply, bool]] = [
    (OK, True),
    (reply(*(bytes([byte]) for byte in OK)), True),
    (CHUNKED, True),
    (reply(*(bytes([byte]) for byte in CHUNKED)), True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    (reply(b"HTTP/1.1 200 OK\r\n\r\nok", end=True), False),
    (OK + b"surplus", False),
    (OK + OK, False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" + OK, False),
]


@pytest.mark.parametrize(("response", "reused"), RESPONSES)
def test_one_response_is_read_whole(response: bytes | Reply, reused: bool, server: Server) -> None:
    server.replies = [response]
    with connected(server.port) as ask:
        answer = ask()
        assert (answer.status, answer.body) == (200, b"ok")
        assert ask().body == b"ok"
        assert server.accepted == (1 if reused else 2)


def test_headers_are_found_by_lower_case_names(server: Server) -> None:
    server.replies = [
        b"HTTP/1.1 424 Failed\r\nContent-Length: 0\r\nX-Amzn-ErrorType:  ModelError \r\nX-B: \xe9\r\n\r\n"
    ]
    with connected(server.port) as ask:
        answer = ask()
    assert (answer.status, answer.body) == (424, b"")
    assert answer.headers == {"content-length": "0", "x-amzn-errortype": "ModelError", "x-b": "é"}


BROKEN = [
    (CLOSED, exceptions.ConnectionClosedError),
    (reply(b"HTTP/1.1 200 OK\r\nContent-", end=True), exceptions.ConnectionClosedError),
    (reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", end=True), exceptions.ResponseStreamingError),
    (
        reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no", end=True),
        exceptions.ResponseStreamingError,
    ),
    (b"SSH-2.0-OpenSSH_9.2\r\n", exceptions.ConnectionClosedError),
    (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", exceptions.ConnectionClosedError),
    (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", exceptions.ConnectionClosedError),
]


@pytest.mark.parametrize(("response", "expected"), BROKEN)
def test_a_broken_response_ends_the_connection(response: bytes, expected: type[Exception], server: Server) -> None:
    server.replies = [response]
    with connected(server.port) as ask:
        with pytest.raises(expected):
            ask()
        assert ask().body == b"ok"
    assert server.accepted == 2


def test_a_connection_that_the_server_closed_while_idle_is_not_used(server: Server) -> None:
    server.replies = [reply(OK, end=True)]
    with connected(server.port) as ask:
        ask()
        assert ask().body == b"ok"
    assert server.accepted == 2
    assert len(server.bodies) == 2


def test_at_most_so_many_connections_are_kept(server: Server) -> None:
    together = threading.Barrier(3)

    def wait(connection: socket.socket) -> None:
        together.wait(60)
        connection.sendall(OK)

    server.replies = [wait, wait, wait]
    with connected(server.port, kept=2) as ask:
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.accepted == 3
        assert server.closed.acquire(timeout=60), "the third is closed"
        assert not server.closed.acquire(blocking=False)
        ask()
        assert server.accepted == 3


def test_large_bodies_go_both_ways(server: Server) -> None:
    body = bytes(range(256)) * 20_000
    server.replies = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    with connected(server.port) as ask:
        assert ask(body).body == body
    assert server.bodies == [body]


def test_a_response_that_comes_in_drops_does_not_outlast_the_limit(server: Server) -> None:
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not stopped.wait(0.02):
            connection.sendall(b"x")

    server.replies = [drip]
    with connected(server.port) as ask, pytest.raises(exceptions.ReadTimeoutError):
        ask(timeout_s=0.3)
    stopped.set()


def test_no_listener_is_an_endpoint_that_cannot_be_reached(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with connected(port) as ask, pytest.raises(exceptions.EndpointConnectionError, match=f"127.0.0.1:{port}"):
        ask()
    with connected(server.port) as ask, pytest.raises(exceptions.ConnectTimeoutError):
        ask(timeout_s=0.0)


def certificate(folder: Path, name: x509.GeneralName) -> tuple[Path, ssl.SSLContext]:
    """A certificate that is its own authority, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "public.pem", folder / "private.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@contextmanager
def secure(folder: Path, name: x509.GeneralName, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Path]]:
    public, context = certificate(folder, name)
    server = Server(context)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"https://127.0.0.1:{server.port}")
    try:
        yield server, public
    finally:
        server.close()


CALL = Invocation("churn", b"body", "text/csv")
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_an_endpoint_is_trusted_by_the_certificates_that_boto3_trusts(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secure(tmp_path, HERE, monkeypatch) as (server, public):
        for other in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(variable, str(public))
        sent = []
        session = boto3.Session("test", "test", region_name="us-east-1")
        session.events.register("before-send.sagemaker-runtime.InvokeEndpoint", lambda **_: sent.append(1))
        endpoint = SageMakerEndpoint(AwsSession(session), connections=2)
        for _ in range(4):
            assert endpoint.invoke(CALL, timeout_s=30).body == b"ok"
        assert (len(sent), server.accepted) == (1, 2), "one connection of boto3's, one that is kept"


def test_an_endpoint_of_another_name_or_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure(tmp_path, x509.DNSName("other.test"), monkeypatch) as (server, public):
        url = f"https://127.0.0.1:{server.port}"
        for authority in (str(public), certifi_path()):
            with pytest.raises(exceptions.SSLError):
                Connections(url, 2, 2.0, authority).post(url, b"", b"", 30.0)
        assert server.bodies == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(public))
        endpoint = SageMakerEndpoint(AwsSession(boto3.Session("test", "test", region_name="us-east-1")), connections=2)
        raised = []
        for _ in range(2):
            with pytest.raises(TransientError, match="SSL validation failed") as error:
                endpoint.invoke(CALL, timeout_s=30)
            raised.append(type(error.value.__cause__))
        assert raised == [exceptions.SSLError] * 2
        assert server.bodies == []


def certifi_path() -> str:
    import certifi

    return certifi.where()
