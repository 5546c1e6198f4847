"""The request cycle: a whole response is one write; other responses, and headers that are not allowed, are left to uvicorn."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from app.serve.http.cycle import WHOLE_BODY, Cycle

LENGTH_2 = (b"content-length", b"2")


class Transport:
    """Records each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, parts: list[bytes]) -> None:
        self.writes.append(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Exchange:
    """A request that an application answers."""

    def __init__(self, method: str = "POST", *, keep_alive: bool = True) -> None:
        self.transport, self.completed = Transport(), 0
        transport = cast(asyncio.Transport, self.transport)
        self.scope: Any = {"type": "http", "method": method, "http_version": "1.1"}
        self.cycle = Cycle(
            scope=self.scope,
            transport=transport,
            flow=FlowControl(transport),
            logger=logging.getLogger("uvicorn.error"),
            access_logger=logging.getLogger("uvicorn.access"),
            access_log=False,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self._complete,
        )

    def _complete(self) -> None:
        self.completed += 1

    async def answer(self, *headers: tuple[bytes, bytes], parts: tuple[bytes, ...] = (b"{}",)) -> None:
        await self.cycle.send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for number, part in enumerate(parts, 1):
            await self.cycle.send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})


def test_a_whole_response_is_one_write() -> None:
    exchange = Exchange()
    asyncio.run(exchange.answer(LENGTH_2, (b"x-of", b"\tTab and \xe9")))
    assert exchange.transport.writes == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\nx-of: \tTab and \xe9\r\n\r\n{}"
    ]
    assert (exchange.completed, exchange.cycle.response_complete, exchange.transport.closed) == (1, True, False)


@pytest.mark.parametrize(
    ("method", "keep_alive", "headers", "parts", "sent"),
    [
        ("HEAD", True, [LENGTH_2], (b"{}",), b"content-length: 2\r\n\r\n"),
        ("GET", False, [LENGTH_2], (b"{}",), b"content-length: 2\r\nconnection: close\r\n\r\n{}"),
        ("GET", True, [LENGTH_2, (b"connection", b"close")], (b"{}",), b"connection: close\r\n\r\n{}"),
        ("GET", True, [LENGTH_2], (b"{", b"}"), b"content-length: 2\r\n\r\n{}"),
        ("GET", True, [], (b"{}",), b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ],
    ids=["head", "http-1.0", "close", "parts", "chunks"],
)
def test_any_other_response_is_uvicorns(
    method: str, keep_alive: bool, headers: list[tuple[bytes, bytes]], parts: tuple[bytes, ...], sent: bytes
) -> None:
    exchange = Exchange(method, keep_alive=keep_alive)
    asyncio.run(exchange.answer(*headers, parts=parts))
    assert b"".join(exchange.transport.writes).endswith(sent)
    assert exchange.completed == 1


@pytest.mark.parametrize(
    "header", [(b"x-a", b"1\r\nx-b: 2"), (b"x-a", b"1\n"), (b"x a", b"1"), (b"x-a", b"\x00"), (b"x:", b"")]
)
def test_a_header_cannot_contain_another(header: tuple[bytes, bytes]) -> None:
    exchange = Exchange()
    with pytest.raises(RuntimeError, match="Invalid HTTP header"):
        asyncio.run(exchange.answer(LENGTH_2, header))
    assert exchange.transport.writes == []


@pytest.mark.parametrize("body", [b"", b"{", b"{ }"])
def test_a_body_of_another_length_is_an_error(body: bytes) -> None:
    with pytest.raises(RuntimeError, match="Content-Length"):
        asyncio.run(Exchange().answer(LENGTH_2, parts=(body,)))


def test_a_failure_before_the_body_is_a_500() -> None:
    exchange = Exchange()

    async def failing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [LENGTH_2]})
        raise ValueError

    asyncio.run(exchange.cycle.run_asgi(failing))
    assert b"".join(exchange.transport.writes).startswith(b"HTTP/1.1 500 ")
    assert exchange.transport.closed


def test_a_body_that_has_arrived_is_taken_once() -> None:
    exchange = Exchange()
    whole = exchange.scope[WHOLE_BODY]
    exchange.cycle.body += b"{"
    assert whole() == b""
    exchange.cycle.body += b"}"
    exchange.cycle.more_body = False
    exchange.cycle.message_event.set()
    assert (whole(), whole()) == (b"{}", b"")
