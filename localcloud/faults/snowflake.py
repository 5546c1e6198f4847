"""Fault middleware of the local Snowflake: HTTP 429 or 503, delays, broken connections, damaged responses, expired sessions.

Rules match a statement by its first words too (``snowflake:COPY INTO``), without comments and extra whitespace.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcloud.faults.rules import FaultPlan, Hit, Kind, Target

_PATHS = (
    (re.compile(r"/session/v1/login-request"), "login"),
    (re.compile(r"/session/token-request"), "token"),
    (re.compile(r"/session/heartbeat"), "heartbeat"),
    (re.compile(r"/session"), "close"),
    (re.compile(r"/queries/v1/query-request"), "query"),
    (re.compile(r"/queries/(v1|[^/]+)/abort-request"), "abort"),
    (re.compile(r"/queries/[^/]+/result"), "result"),
    (re.compile(r"/monitoring/queries/[^/]+"), "monitor"),
    (re.compile(r"/telemetry/send"), "telemetry"),
)
_STATUS = {Kind.THROTTLE: 429, Kind.ERROR: 503}
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*|//[^\n]*", re.DOTALL)
_WORDS = 4
# On 390112 the connector requests a new session token and repeats the request.
_EXPIRED = {
    "data": None,
    "success": False,
    "code": "390112",
    "message": "Your session has expired. Please login again.",
}


class SnowflakeFaultMiddleware:
    """An ASGI application around ``inner``."""

    def __init__(self, inner: ASGIApp, plan: FaultPlan) -> None:
        self._inner = inner
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._plan.active or scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body = await _read(receive)
        hit = self._plan.decide(_target(scope, body))
        if hit is None or hit.kind is Kind.SLOW:
            await asyncio.sleep(hit.fault.seconds if hit else 0)
            await self._inner(scope, _replay(body, receive), send)
        elif hit.kind is Kind.DROP:
            await _disconnect(send, receive, abort=True)
        elif hit.kind in _STATUS:
            await _answer(send, _STATUS[hit.kind], b"", "text/plain")
        elif hit.kind is Kind.EXPIRE:
            await _answer(send, 200, json.dumps(_EXPIRED).encode(), "application/json")
        else:
            await self._damage(hit, scope, _replay(body, receive), send)

    async def _damage(self, hit: Hit, scope: Scope, receive: Receive, send: Send) -> None:
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._inner(scope, receive, keep)
        if hit.kind is Kind.LOSE:
            await _disconnect(send, receive, abort=True)
            return
        body = b"".join(message.get("body", b"") for message in kept[1:])
        await send(kept[0])
        whole = hit.kind is Kind.CORRUPT
        await send({"type": "http.response.body", "body": hit.damage(body), "more_body": not whole})
        if not whole:
            await _disconnect(send, receive, abort=False)


def _target(scope: Scope, body: bytes) -> Target:
    path = scope["path"]
    name = next((name for pattern, name in _PATHS if pattern.fullmatch(path)), "other")
    if name != "query":
        return Target((f"snowflake:{name}",))
    if Headers(scope=scope).get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    words = _COMMENT.sub(" ", json.loads(body).get("sqlText", "")).split(maxsplit=_WORDS)[:_WORDS]
    begins = (" ".join(words[:count]) for count in range(1, len(words) + 1))
    return Target(("snowflake:query", *(f"snowflake:{text}" for text in begins)))


async def _read(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the body read before, then later messages (the client's disconnect)."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _answer(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _disconnect(send: Send, receive: Receive, *, abort: bool) -> None:
    """Close the connection, at once or after the sent data. ASGI has no message for it, so this uses uvicorn's transport."""
    transport: Any = send.__self__.transport  # type: ignore[attr-defined]  # a method of uvicorn's request cycle
    (transport.abort if abort else transport.close)()
    while (await receive())["type"] != "http.disconnect":
        pass
