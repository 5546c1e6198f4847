"""A connection: bytes off the socket -> requests for the application, large bodies straight into the place where they stay.

uvicorn's protocol parses, answers and keeps alive; this one stands before it and decides where bytes are received to. Head and
small bodies go through the parser as ever. Of a body that is not in yet when its head is, the rest is received into one buffer of
its length, without the parser and its copies; of a request that was answered already, into nothing.

Whom the ``Door`` turns away is answered here, by bytes made before, without waking the application.

The one surprise: after a body that the parser has not seen a new parser begins, for the old one still waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.serve.http.load_shedding import Door

# What is received before it is known where it belongs: a head, and a small body with it.
_HEAD_BYTES = 16 * 1024
# What nobody wants is received in pieces that stay in the processor's cache.
_WASTE_BYTES = 128 * 1024

#: Of a request, before its body. Load balancers let through less.
MAX_HEAD_BYTES = 64 * 1024

Protocol = Callable[..., asyncio.BufferedProtocol]


def protocol_for(door: Door, max_body_bytes: int) -> Protocol:
    """What uvicorn makes a connection with. ``max_body_bytes``: of bodies longer than that no room is made before they come."""
    # One loop receives for all connections, one piece at a time, so that they share what they receive into.
    shared = memoryview(bytearray(_WASTE_BYTES))

    def connection(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        return Connection(_Requests(config, server_state, app_state, _loop, door, max_body_bytes), shared)

    return connection


class Connection(asyncio.BufferedProtocol):
    """Receives. ``shared``: memory for what does not stay."""

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
        """Where the next bytes go."""
        rest = self._requests.rest
        return self._head if rest is None else rest.room(self._shared)

    def buffer_updated(self, count: int) -> None:
        """``count`` bytes came."""
        rest = self._requests.rest
        if rest is None:
            self._requests.data_received(self._head[:count])  # type: ignore[arg-type]  # the parser takes any buffer
            return
        rest.missing -= count
        if not rest.missing:
            self._requests.rest_ended()


class _Unusable(Exception):
    """A request is sound and cannot be received; the text says why."""


class _Answered:
    """Stands where uvicorn looks for the last request, after one that was turned away at the door."""

    disconnected, response_complete = False, True

    def __init__(self) -> None:
        self.body = bytearray()
        self.message_event = asyncio.Event()


class _Rest:
    """What of a body is still to come, ``missing`` bytes. ``cycle``: its request."""

    __slots__ = ("_cycle", "_view", "missing")

    def __init__(self, cycle: RequestResponseCycle | _Answered, missing: int) -> None:
        self._cycle, self.missing = cycle, missing
        self._view: memoryview | None = None

    def room(self, waste: memoryview) -> memoryview:
        """Where the next bytes go; into ``waste`` where nobody wants them."""
        if self._cycle.response_complete:
            return waste[: self.missing]
        if self._view is None:
            # In the place of uvicorn's own, which hands it on once there is no more to come.
            begun, self._cycle.body = self._cycle.body, bytearray(len(self._cycle.body) + self.missing)
            self._cycle.body[: len(begun)] = begun
            self._view = memoryview(self._cycle.body)
        return self._view[-self.missing :]

    def end(self) -> None:
        """All is there."""
        if isinstance(self._cycle, RequestResponseCycle):
            self._cycle.more_body = False
            self._cycle.message_event.set()


class _Requests(HttpToolsProtocol):
    """uvicorn's protocol. ``rest``: what is received without the parser just now, if anything.

    Stricter in three ways: a head is bounded, in bytes and in time; what stands behind a body (trailers) is no header, for a
    gateway that takes a header from its callers need not look there; and an offer to change the protocol is ignored, where
    the parser would drop the body with it.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        door: Door,
        max_body_bytes: int,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._door, self._max_body_bytes = door, max_body_bytes
        self._begun: _Rest | None = None
        # What the parser took and gave nothing for: of a head, or of what may stand around chunks.
        self._unused_bytes = 0
        self._idle_since = 0.0
        self.rest: _Rest | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin, and wait no longer for a first head than for a next one."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Hang up if no head has come for too long, or look again when it would be too long."""
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        left_s = self.timeout_keep_alive - (0 if busy else self.loop.time() - self._idle_since)
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Go on to what is there already, or wait for it. As uvicorn's, which sets a timer for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, and see whether a body of known length began with it."""
        self._unused_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._go_on(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            ours = isinstance(error.__context__, _Unusable)
            self._hang_up(400, str(error.__context__) if ours else "this is no HTTP request")
            return
        if self._unused_bytes > MAX_HEAD_BYTES:
            self._hang_up(431, f"a head of more than {MAX_HEAD_BYTES} bytes is not taken")
        begun, self._begun = self._begun, None
        if begun is not None and begun.missing:
            self.rest = begun
            if not self.cycle.response_complete:
                # Until the application asks for it, that is, until the request has a place.
                self.flow.pause_reading()

    def on_headers_complete(self) -> None:
        """Answer the request, or begin it."""
        self._unused_bytes = 0
        first = self.cycle is None or self.cycle.response_complete
        # One that has to wait for the answer to the one before it comes through the parser, into the room that uvicorn makes.
        length, chunked = self._body()
        known = first and 0 < length <= self._max_body_bytes
        if self.parser.should_upgrade() and (chunked or length) and not known:
            raise _Unusable("another protocol is offered before this body; send it without the header Upgrade")
        if not (first and self._turned_away()):
            super().on_headers_complete()
        self.headers = []  # for trailers, which nobody reads
        self._begun = _Rest(self.cycle, length) if known else None

    def on_body(self, body: bytes) -> None:
        """Take a piece that came through the parser."""
        self._unused_bytes = 0
        super().on_body(body)
        if self._begun is not None:
            self._begun.missing -= len(body)
            if self._begun.missing:
                self.cycle.message_event.clear()  # the application gets it in one piece

    def on_message_complete(self) -> None:
        """The request is all there, unless the parser left its body out."""
        self._unused_bytes = 0
        if self._begun is None or not self._begun.missing:
            super().on_message_complete()

    def rest_ended(self) -> None:
        """What was received without the parser is complete."""
        assert self.rest is not None
        self.rest.end()
        self.rest = None
        self._parse_anew()

    def _turned_away(self) -> bool:
        # A caller that waits for "100 Continue" may or may not send its body after another answer; uvicorn's business.
        if self.expect_100_continue or not self.parser.should_keep_alive():
            return False
        refusal = self._door.refusal(self.parser.get_method(), self.url, self.headers)
        if refusal is None:
            return False
        head = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[refusal.status], *head, refusal.rest)))
        self.cycle = _ANSWERED  # type: ignore[assignment]  # of a request uvicorn needs no more
        self.on_response_complete()
        return True

    def _body(self) -> tuple[int, bool]:
        """(length, whether it comes in chunks) of the body to come."""
        length, chunked = 0, False
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = True
        return length, chunked

    def _go_on(self, data: bytes) -> None:
        """``data`` follows a head with an offer to change the protocol, behind which the parser wants no more."""
        self._parse_anew()
        body = data[: self._begun.missing] if self._begun else b""
        if body:
            self.on_body(body)
            self.on_message_complete()
        if len(data) > len(body):
            self.data_received(data[len(body) :])

    def _parse_anew(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def _hang_up(self, status: int, text: str) -> None:
        head = (b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text), b"connection: close")
        self.transport.write(b"\r\n".join((STATUS_LINE[status].rstrip(), *head, b"", text.encode())))
        self.transport.close()


_ANSWERED = _Answered()
