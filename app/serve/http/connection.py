"""A connection: passes requests from the socket to the application, and receives large bodies into their final buffer.

uvicorn's protocol parses, answers and keeps connections alive. This one is in front of it and chooses the buffer into which
bytes are received. The head and a small body go through the parser. Of a body that has not fully arrived with its head, the
rest is received into one buffer of its length, without the parser and its copies; of a request that is already answered, it is
discarded, and of a rejected request at a limited pace.

Requests that ``LoadShedding`` rejects are answered here with prepared bytes, before the application is called.

After a body that the parser has not seen, a new parser starts, because the old one still waits for that body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.serve.http.cycle import Cycle
from app.serve.http.load_shedding import LoadShedding

# Received at a time while no body is expected: a head, and a small body with it.
_HEAD_BYTES = 16 * 1024
# Discarded bytes are received in pieces that stay in the processor's cache.
_DISCARD_BYTES = 128 * 1024

#: Bytes of a request before its body. Load balancers allow less.
MAX_HEAD_BYTES = 64 * 1024
_TOO_LARGE_HEAD = f"the head is larger than {MAX_HEAD_BYTES} bytes"
#: Bytes of a header in addition to its name and value: a colon, a space and the end of the line.
_HEADER_BYTES = 4

Protocol = Callable[..., asyncio.BufferedProtocol]


def protocol_for(load_shedding: LoadShedding, max_body_bytes: int) -> Protocol:
    """The protocol factory for uvicorn. ``max_body_bytes``: for longer bodies no buffer is allocated in advance."""
    # One loop receives for all connections, one piece at a time, so they share one buffer.
    shared = memoryview(bytearray(_DISCARD_BYTES))

    def connection(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        return Connection(_Requests(config, server_state, app_state, _loop, load_shedding, max_body_bytes), shared)

    return connection


class Connection(asyncio.BufferedProtocol):
    """Receives the bytes of one connection. ``shared``: a buffer for bytes that are not kept."""

    def __init__(self, requests: _Requests, shared: memoryview) -> None:
        self._requests, self._shared, self._head = requests, shared, shared[:_HEAD_BYTES]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._requests.connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it

    def connection_lost(self, error: Exception | None) -> None:
        self._requests.connection_lost(error)

    def eof_received(self) -> None:
        self._requests.eof_received()

    def pause_writing(self) -> None:
        self._requests.pause_writing()

    def resume_writing(self) -> None:
        self._requests.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the protocol's signature
        """The buffer for the next bytes."""
        rest = self._requests.rest
        return self._head if rest is None else rest.buffer(self._shared)

    def buffer_updated(self, count: int) -> None:
        """``count`` bytes arrived."""
        rest = self._requests.rest
        if rest is None:
            self._requests.data_received(self._head[:count])  # type: ignore[arg-type]  # the parser takes any buffer
            return
        rest.missing -= count
        if not rest.missing:
            self._requests.rest_ended()


class _Unusable(Exception):
    """A request is valid but cannot be received; the text says why."""


class _HeadTooLarge(Exception):
    """The head of a request exceeds its bound."""


class _Rejected:
    """Takes the place of uvicorn's last request cycle after a request was rejected from its head."""

    disconnected, response_complete = False, True

    def __init__(self) -> None:
        self.body = bytearray()
        self.message_event = asyncio.Event()


class _Rest:
    """The rest of a body, ``missing`` bytes. ``cycle``: its request."""

    __slots__ = ("_cycle", "_view", "missing")

    def __init__(self, cycle: Cycle | _Rejected, missing: int) -> None:
        self._cycle, self.missing = cycle, missing
        self._view: memoryview | None = None

    def buffer(self, discard: memoryview) -> memoryview:
        """The buffer for the next bytes; ``discard`` if the request is already answered."""
        if self._cycle.response_complete:
            return discard[: self.missing]
        if self._view is None:
            # Replaces uvicorn's own body, which it passes on once the body is complete.
            received, self._cycle.body = self._cycle.body, bytearray(len(self._cycle.body) + self.missing)
            self._cycle.body[: len(received)] = received
            self._view = memoryview(self._cycle.body)
        return self._view[-self.missing :]

    @property
    def rejected(self) -> bool:
        """Whether the request was rejected from its head."""
        return isinstance(self._cycle, _Rejected)

    def end(self) -> None:
        """The body is complete."""
        if isinstance(self._cycle, Cycle):
            self._cycle.more_body = False
            self._cycle.message_event.set()


class _Requests(HttpToolsProtocol):
    """uvicorn's protocol. ``rest``: the part of a body that is being received without the parser, if any.

    Stricter in three ways: a head is bounded, in bytes and in time; trailers are not read as headers, because a gateway that
    filters its callers' headers need not filter trailers; and an upgrade offer is ignored, where the parser would drop the body.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        load_shedding: LoadShedding,
        max_body_bytes: int,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._load_shedding, self._max_body_bytes = load_shedding, max_body_bytes
        self._started: _Rest | None = None
        # Bytes that the parser took without a result: of a head, or between chunks. Of a head, also those that it has parsed.
        self._unused_bytes = self._head_bytes = 0
        self._idle_since = 0.0
        self.rest: _Rest | None = None
        self.cycle: Cycle = None  # type: ignore[assignment]  # as uvicorn has it until the first request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's signature
        """Start. The time limit for the first head is that for later ones."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and cancel the timer."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if no head arrived in time; otherwise check again when the time is over."""
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        left_s = self.timeout_keep_alive - (0 if busy else self.loop.time() - self._idle_since)
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or wait for it. As uvicorn's, but without a timer for each response."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, and check whether a body of known length starts in it."""
        self._unused_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _HeadTooLarge):
                self._close_with(431, _TOO_LARGE_HEAD)
                return
            ours = isinstance(error.__context__, _Unusable)
            self._close_with(400, str(error.__context__) if ours else "this is not an HTTP request")
            return
        if self._unused_bytes > MAX_HEAD_BYTES:
            self._close_with(431, _TOO_LARGE_HEAD)
            return
        started, self._started = self._started, None
        if started is not None and started.missing:
            self.rest = started
            if not self.cycle.response_complete:
                # Until the application reads the body, that is, until the request has a slot.
                self.flow.pause_reading()
            elif started.rejected and (wait_s := self._load_shedding.pace.wait_s()):
                self.flow.pause_reading()
                self.loop.call_later(wait_s, self.flow.resume_reading)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path."""
        # Counted here, because a whole head may arrive at once: the request would be started before its size is known.
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLarge
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is counted with the head. As uvicorn's, but in one call a header: heads have many."""
        self._head_bytes += len(name) + len(value) + _HEADER_BYTES
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLarge
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Reject the request, or start it."""
        self._unused_bytes = 0
        first = self.cycle is None or self.cycle.response_complete
        # A pipelined request goes through the parser, into uvicorn's own buffer.
        length, chunked = self._body()
        known = first and 0 < length <= self._max_body_bytes
        if self.parser.should_upgrade() and (chunked or length) and not known:
            raise _Unusable("the request offers another protocol and has a body; send it without the header Upgrade")
        if not (first and self._reject()):
            self._begin(first=first)
        self.headers = []  # collects trailers, which are not read
        self._started = _Rest(self.cycle, length) if known else None

    def _begin(self, *, first: bool) -> None:
        """Start the request, or queue it behind the one that is running. As uvicorn's, without WebSockets and a root path."""
        version, url = self.parser.get_http_version(), httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"], self.scope["http_version"] = self.parser.get_method().decode("ascii"), version
        self.scope["path"], self.scope["raw_path"] = unquote(path) if "%" in path else path, url.path
        self.scope["query_string"] = url.query or b""
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if first:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Take a piece from the parser."""
        self._unused_bytes = 0
        super().on_body(body)
        if self._started is not None:
            self._started.missing -= len(body)
            if self._started.missing:
                self.cycle.message_event.clear()  # the application gets the body in one piece

    def on_message_complete(self) -> None:
        """The request is complete, unless its body is received without the parser."""
        self._unused_bytes = self._head_bytes = 0
        if self._started is None or not self._started.missing:
            super().on_message_complete()

    def rest_ended(self) -> None:
        """The body that was received without the parser is complete."""
        assert self.rest is not None
        self.rest.end()
        self.rest = None
        self._reset_parser()

    def _reject(self) -> bool:
        # A caller that waits for "100 Continue" may or may not send its body after another response; uvicorn handles that.
        if self.expect_100_continue or not self.parser.should_keep_alive():
            return False
        rejection = self._load_shedding.rejection(self.parser.get_method(), self.url, self.headers)
        if rejection is None:
            return False
        self.transport.write(
            b"".join((STATUS_LINE[rejection.status], _lines(tuple(self.server_state.default_headers)), rejection.rest))
        )
        self.cycle = _REJECTED  # type: ignore[assignment]  # has all attributes that uvicorn uses
        self.on_response_complete()
        return True

    def _body(self) -> tuple[int, bool]:
        """(length, whether it is chunked) of the body."""
        length, chunked = 0, False
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = True
        return length, chunked

    def _ignore_upgrade(self, data: bytes) -> None:
        """Continue with ``data`` after a head that offers an upgrade, where the parser stops."""
        self._reset_parser()
        body = data[: self._started.missing] if self._started else b""
        if body:
            self.on_body(body)
            self.on_message_complete()
        if len(data) > len(body):
            self.data_received(data[len(body) :])

    def _reset_parser(self) -> None:
        self._head_bytes = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # uvicorn's setting

    def _close_with(self, status: int, text: str) -> None:
        head = (b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text), b"connection: close")
        self.transport.write(b"\r\n".join((STATUS_LINE[status].rstrip(), *head, b"", text.encode())))
        self.transport.close()


@lru_cache(maxsize=1)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The bytes of the headers that the server sends with every response, which change once a second."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


_REJECTED = _Rejected()
