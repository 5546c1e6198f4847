"""HTTP/1.1 connections to one address, kept open between requests; each response is read whole.

Failures are botocore's exceptions, so that they are translated like boto3's. TLS is set up as botocore sets it up.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
import weakref
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools
from botocore import exceptions
from botocore.httpsession import create_urllib3_context

_RECEIVE_BYTES = 1 << 16
# A body up to this size is copied to its head, which costs less than a second packet.
_JOINED_BYTES = 1 << 16
_FIRST_FINAL = 200


@dataclass(slots=True)
class Answer:
    """A response. Names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connections:
    """Connections to the address of ``url``. ``kept``: idle ones at most; ``ca_path``: the file of the certificates to trust.

    Safe to use from several threads: each request has a connection of its own.
    """

    def __init__(self, url: str, kept: int, connect_timeout_s: float, ca_path: str) -> None:
        parts = urlsplit(url)
        self._kept, self._connect_timeout_s = kept, connect_timeout_s
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = _tls(ca_path) if parts.scheme == "https" else None
        # The one used last is used first, so that connections that are not needed become old and are closed by the server.
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close, self._idle)

    def post(self, url: str, head: bytes, body: bytes, timeout_s: float) -> Answer:
        """The response to one request, within ``timeout_s``. ``url``: for messages. Raises botocore's exceptions."""
        end = time.monotonic() + timeout_s
        connection = self._take() or self._open(url, end)
        try:
            answer, reusable = connection.exchange(url, head, body, end)
        except BaseException:
            connection.close()
            raise
        if reusable and len(self._idle) < self._kept:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.quiet():
                return connection
            connection.close()

    def _open(self, url: str, end: float) -> _Connection:
        try:
            opened = socket.create_connection((self._host, self._port), min(self._connect_timeout_s, _left_s(end)))
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if self._tls is not None:
                    opened = self._tls.wrap_socket(opened, server_hostname=self._host)
            except BaseException:
                opened.close()
                raise
        except TimeoutError as error:
            raise exceptions.ConnectTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise exceptions.SSLError(endpoint_url=url, error=error) from error
        except OSError as error:
            raise exceptions.EndpointConnectionError(endpoint_url=url, error=error) from error
        return _Connection(opened)


class _Connection:
    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._poll = select.poll()
        self._poll.register(opened, select.POLLIN)

    def quiet(self) -> bool:
        """Whether an idle connection is open and without unread bytes."""
        return not self._poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def exchange(self, url: str, head: bytes, body: bytes, end: float) -> tuple[Answer, bool]:
        """The response, and whether the connection may be used again."""
        try:
            self._send(head, body, end)
            return self._receive(url, end)
        except TimeoutError as error:
            raise exceptions.ReadTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise exceptions.SSLError(endpoint_url=url, error=error) from error
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise exceptions.ConnectionClosedError(endpoint_url=url, error=error) from error

    def _send(self, head: bytes, body: bytes, end: float) -> None:
        parts = (head + body,) if len(body) <= _JOINED_BYTES else (head, body)
        try:
            for part in parts:
                self._socket.settimeout(_left_s(end))
                self._socket.sendall(part)
        except BrokenPipeError:
            return  # a server may refuse a body that it has not read; its response says why

    def _receive(self, url: str, end: float) -> tuple[Answer, bool]:
        reader = _Reader()
        while not reader.complete:
            self._socket.settimeout(_left_s(end))
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                return reader.answer_at_end(url), False
            reader.feed(data)
        return reader.answer(), reader.reusable


class _Reader:
    """Collects one response from the parser. Interim responses (1xx) and bytes after the response are left out."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self.complete = self.reusable = False

    def feed(self, data: bytes) -> None:
        """Read ``data``. Raises HttpParserError if the response is not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.reusable = False  # the response is whole, but what follows it is not HTTP

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if not self.complete:
            self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if self._status < _FIRST_FINAL:
            self._status = 0
            self._headers.clear()
            return
        self.complete = True
        self.reusable = self._parser.should_keep_alive()

    def answer(self) -> Answer:
        """The response. The reader is of no use afterwards."""
        del self._parser  # it refers to the reader; such a circle would wait for the garbage collector
        return Answer(self._status, self._headers, self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))

    def answer_at_end(self, url: str) -> Answer:
        """The response when the connection has ended; raises unless that is how the response ends."""
        if not self._status:
            raise exceptions.ConnectionClosedError(endpoint_url=url)
        if length := self._headers.get("content-length"):
            received = sum(map(len, self._parts))
            raise exceptions.ResponseStreamingError(
                error=f"{received} bytes read, {int(length) - received} more expected"
            )
        if "transfer-encoding" in self._headers:
            raise exceptions.ResponseStreamingError(error="the response ends within a chunk")
        return self.answer()


def _left_s(end: float) -> float:
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time is over")
    return left_s


def _tls(ca_path: str) -> ssl.SSLContext:
    """TLS as botocore's connections use it. Raises OSError if there are no certificates at ``ca_path``."""
    context: ssl.SSLContext = create_urllib3_context()
    context.check_hostname = True  # botocore leaves this to urllib3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca_path)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _close(idle: deque[_Connection]) -> None:
    for connection in idle:
        connection.close()
