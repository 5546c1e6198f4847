"""Amazon API Gateway in front of a backend: its limits, injected headers and error responses.

A gzip request body reaches the backend decompressed with ``Content-Encoding: gzip`` still on it, as a captured request from the
real gateway shows, so a backend has to look at the bytes. Signatures are not checked.
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

from localcloud.aws.gateway.throttling import TokenBucket
from localcloud.aws.http.server import listening_socket
from localcloud.errors import PermanentError
from localcloud.faults.rules import FaultPlan, Kind, Target

# AWS's quotas for REST APIs: payload 10 MB, headers 10,240 bytes in total, 29 s for an integration.
PAYLOAD_BYTES = 10 * 1024 * 1024
HEADER_BYTES = 10_240
TIMEOUT_S = 29.0
# AWS's default throttling per account and region: requests per second, and burst.
RATE = 10_000.0
BURST = 5_000

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
_GZIP = b"\x1f\x8b"
_STARTED_S = 10.0
# Hop-by-hop headers, and headers that the HTTP client sets.
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

    ``injected_headers``: set on every request to the backend, replacing the client's; they prove to the backend that a request
    came through the gateway. ``timeout_s``: the integration's. ``rate`` (per second) and ``burst``: the throttling's token bucket.
    ``faults``: rules for requests to the backend, named ``gateway:POST`` and ``gateway:GET``; their resource is the path.
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
        self._bucket = TokenBucket(rate, burst)
        self._client: httpx.AsyncClient | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start serving in a thread; raises :class:`localcloud.errors.CallerError` if the port is in use."""
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
            # An idle client connection must not delay the stop.
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
                raise PermanentError("The local API Gateway did not start; see its log for the cause.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop accepting requests and join the thread."""
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
            return _error(403, "Forbidden", "ForbiddenException")
        if request.method not in ("GET", "POST"):
            return _error(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
        if not self._bucket.take():
            return _error(429, "Too Many Requests", "TooManyRequestsException")
        if sum(len(name) + len(value) for name, value in request.headers.raw) > HEADER_BYTES:
            return _error(431, f"HTTP header is larger than {HEADER_BYTES} bytes", "BadRequestException")
        body = await _read(request)
        if body is not None and request.headers.get("content-encoding", "").lower() == "gzip":
            body = _decompressed(body)
        if body is None:
            return _error(413, f"HTTP content length exceeded {PAYLOAD_BYTES} bytes.", "RequestTooLargeException")
        query = request.scope["query_string"].decode("ascii")
        url = f"{self._backend_url}/{path.removeprefix(prefix)}{'?' + query if query else ''}"
        try:
            return await asyncio.wait_for(self._call_backend(request, url, body), self._timeout_s)
        except (TimeoutError, httpx.TimeoutException):
            return _error(504, "Endpoint request timed out", "IntegrationTimeoutException")
        except httpx.HTTPError:
            return _error(504, "Network error communicating with endpoint", "IntegrationFailureException")

    async def _call_backend(self, request: Request, url: str, body: bytes) -> Response:
        """Call the backend, or apply the fault rule that the request meets."""
        path = urlsplit(url).path
        hit = self.faults.decide(Target((f"gateway:{request.method}",), (path,))) if self.faults.active else None
        if hit is None:
            return await self._forward(request, url, body)
        if hit.kind is Kind.THROTTLE:
            return _error(429, "Too Many Requests", "TooManyRequestsException")
        if hit.kind is Kind.ERROR:
            return _error(500, "Internal server error", "InternalServerErrorException")
        if hit.kind is Kind.DROP:
            raise httpx.RemoteProtocolError("the backend closed the connection")
        await asyncio.sleep(hit.fault.seconds)
        answer = await self._forward(request, url, body)
        if hit.kind in (Kind.LOSE, Kind.TRUNCATE):
            raise httpx.RemoteProtocolError("the backend closed the connection")
        if hit.kind is Kind.CORRUPT:
            answer.body = hit.damage(bytes(answer.body))
        return answer

    async def _forward(self, request: Request, url: str, body: bytes) -> Response:
        assert self._client is not None
        headers = self._headers(request)
        call = self._client.build_request(request.method, url, headers=headers, content=body or None)
        answer = await self._client.send(call, stream=True)
        try:
            # Raw bytes: a compressed response is passed on compressed.
            content = b"".join([part async for part in answer.aiter_raw()])
        finally:
            await answer.aclose()
        if len(content) > PAYLOAD_BYTES:
            return _error(500, "Internal server error", "InternalServerErrorException")
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


async def _read(request: Request) -> bytes | None:
    """The body; ``None`` as soon as it exceeds the payload limit."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > PAYLOAD_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _decompressed(body: bytes) -> bytes | None:
    """The decompressed body; ``None`` if it exceeds the payload limit. Bytes that are not gzip are returned unchanged."""
    if not body.startswith(_GZIP):
        return body
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, PAYLOAD_BYTES + 1)
    except zlib.error:
        return body
    return None if len(plain) > PAYLOAD_BYTES else plain


def _error(status: int, text: str, kind: str) -> Response:
    return Response(
        json.dumps({"message": text}),
        status_code=status,
        media_type="application/json",
        headers={"x-amzn-errortype": kind, "x-amzn-requestid": str(uuid.uuid4())},
    )
