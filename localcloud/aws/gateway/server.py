"""Amazon API Gateway in front of the service: its limits, its injected headers, its own error answers.

In: any client's request below ``/<stage>/``. Out: the backend's answer, or the gateway's. The surprise: a gzip request
body arrives decompressed while ``Content-Encoding: gzip`` stays on it, as a captured request from the real one shows, so
a backend has to look at the bytes. The gateway checks no signature: that is the part of the real one it does not play.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.aws.http.server import listening_socket
from localcloud.errors import PermanentError
from localcloud.faults.rules import FaultPlan, Kind, Target

# The quotas page for REST APIs: payload 10 MB, header values 10,240 bytes in total, 29 s for an integration.
PAYLOAD_BYTES = 10 * 1024 * 1024
HEADER_BYTES = 10_240
TIMEOUT_S = 29.0
# The account's throttling by region: requests a second, and how many at once before that counts.
RATE = 10_000.0
BURST = 5_000

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
_GZIP = b"\x1f\x8b"
_STARTED_S = 10.0
# Headers that belong to one connection, or that the next hop's client writes itself.
_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
}


class ApiGateway:
    """One REST API with one stage: ``url`` is ``http://host:port/<stage>/``.

    ``injected_headers``: put on every request to the backend in place of the client's own, which is how the real one
    proves to the backend that a request came through it. ``timeout_s``: the integration's, for tests to shorten.
    ``rate`` a second and ``burst`` are the throttling's token bucket. ``faults``: what the hop to the backend meets, as
    ``gateway:POST`` and ``gateway:GET``, by path.
    """

    def __init__(
        self,
        *,
        backend_url: str,
        injected_headers: Mapping[str, str],
        stage: str = "prod",
        host: str = "127.0.0.1",
        port: int = 0,
        timeout_s: float = TIMEOUT_S,
        rate: float = RATE,
        burst: int = BURST,
        faults: FaultPlan | None = None,
    ) -> None:
        self.port = port
        self.url = ""
        self.faults = faults or FaultPlan()
        self._backend_url = backend_url.rstrip("/")
        self._injected = dict(injected_headers)
        self._stage = stage
        self._host = host
        self._timeout_s = timeout_s
        self._bucket = _TokenBucket(rate, burst)
        self._client: httpx.AsyncClient | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Answer from now on; a port in use is a :class:`localcloud.errors.CallerError`."""
        listener = listening_socket(self._host, self.port)
        self.port = listener.getsockname()[1]
        self.url = f"http://{self._host}:{self.port}/{self._stage}/"
        application = Starlette(routes=[Route("/{path:path}", self._handle, methods=_METHODS)], lifespan=self._lifespan)
        config = uvicorn.Config(
            application,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=75,
            # A client that keeps its connection open must not hold the gateway back.
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        self._server = server
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="api-gateway", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _STARTED_S
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise PermanentError("The local API Gateway did not start; its log says why.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Take no more requests and join the thread."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._server = None

    @asynccontextmanager
    async def _lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        async with httpx.AsyncClient(timeout=self._timeout_s, limits=limits, trust_env=False) as client:
            self._client = client
            yield

    async def _handle(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii")
        prefix = f"/{self._stage}/"
        if not path.startswith(prefix):
            return _refusal(403, "Forbidden", "ForbiddenException")
        if request.method not in ("GET", "POST"):
            return _refusal(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
        if not self._bucket.take():
            return _refusal(429, "Too Many Requests", "TooManyRequestsException")
        if sum(len(name) + len(value) for name, value in request.headers.raw) > HEADER_BYTES:
            return _refusal(431, f"HTTP header is larger than {HEADER_BYTES} bytes", "BadRequestException")
        body = await _read(request)
        if body is not None and request.headers.get("content-encoding", "").lower() == "gzip":
            body = _decompressed(body)
        if body is None:
            return _refusal(413, f"HTTP content length exceeded {PAYLOAD_BYTES} bytes.", "RequestTooLargeException")
        query = request.scope["query_string"].decode("ascii")
        url = f"{self._backend_url}/{path.removeprefix(prefix)}{'?' + query if query else ''}"
        try:
            return await asyncio.wait_for(self._hop(request, url, body), self._timeout_s)
        except (TimeoutError, httpx.TimeoutException):
            return _refusal(504, "Endpoint request timed out", "IntegrationTimeoutException")
        except httpx.HTTPError:
            return _refusal(504, "Network error communicating with endpoint", "IntegrationFailureException")

    async def _hop(self, request: Request, url: str, body: bytes) -> Response:
        """The way to the backend and back, with the fault that lies on it."""
        path = urlsplit(url).path
        hit = self.faults.decide(Target((f"gateway:{request.method}",), (path,))) if self.faults.active else None
        if hit is None:
            return await self._forward(request, url, body)
        if hit.kind is Kind.THROTTLE:
            return _refusal(429, "Too Many Requests", "TooManyRequestsException")
        if hit.kind is Kind.ERROR:
            return _refusal(500, "Internal server error", "InternalServerErrorException")
        if hit.kind is Kind.DROP:
            raise httpx.RemoteProtocolError("the backend closed the connection")
        await asyncio.sleep(hit.fault.seconds)
        answer = await self._forward(request, url, body)
        if hit.kind in (Kind.LOSE, Kind.TRUNCATE):
            raise httpx.RemoteProtocolError("the backend closed the connection")
        if hit.kind is Kind.CORRUPT:
            answer.body = hit.spoil(bytes(answer.body))
        return answer

    async def _forward(self, request: Request, url: str, body: bytes) -> Response:
        assert self._client is not None
        headers = self._headers(request)
        call = self._client.build_request(request.method, url, headers=headers, content=body or None)
        answer = await self._client.send(call, stream=True)
        try:
            # Raw: a compressed answer passes through as it is.
            content = b"".join([part async for part in answer.aiter_raw()])
        finally:
            await answer.aclose()
        if len(content) > PAYLOAD_BYTES:
            return _refusal(500, "Internal server error", "InternalServerErrorException")
        response = Response(content, status_code=answer.status_code)
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.headers.raw if name.lower().decode() not in _HOP
        ]
        response.headers["content-length"] = str(len(content))
        response.headers["x-amzn-requestid"] = str(uuid.uuid4())
        return response

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        replaced = _HOP | {name.lower() for name in self._injected}
        kept = [(name, value) for name, value in request.headers.items() if name not in replaced]
        peer = request.client.host if request.client else ""
        return [*kept, ("x-forwarded-for", peer), ("x-forwarded-proto", "https"), *self._injected.items()]


class _TokenBucket:
    """Full with ``burst`` tokens, filled by ``rate`` a second; a request takes one. Used on the event loop alone."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self) -> bool:
        present = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (present - self._at) * self._rate)
        self._at = present
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def _read(request: Request) -> bytes | None:
    """The body, or ``None`` as soon as it is too long."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > PAYLOAD_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _decompressed(body: bytes) -> bytes | None:
    """The plain body, ``None`` if that is too long; bytes that are no gzip pass as they are."""
    if not body.startswith(_GZIP):
        return body
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, PAYLOAD_BYTES + 1)
    except zlib.error:
        return body
    return None if len(plain) > PAYLOAD_BYTES else plain


def _refusal(status: int, text: str, kind: str) -> Response:
    return Response(
        json.dumps({"message": text}),
        status_code=status,
        media_type="application/json",
        headers={"x-amzn-errortype": kind, "x-amzn-requestid": str(uuid.uuid4())},
    )
