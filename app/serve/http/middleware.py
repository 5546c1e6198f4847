"""The middleware around all routes: credentials, security headers, request counters, and a response to every error.

Every path needs a credential, also a path that does not exist, with the scope of ``security.credentials.scope_for``. Exempt are
the liveness check, for probes without a credential, the page /docs, which tells nothing before it gets one, and the paths that
the settings open. The caller is stored in the ASGI scope as ``snowsage.caller``. No response allows another origin (CORS), because
web pages of other origins do not call this service.

Bare ASGI, because the framework's own middleware would copy every body through a queue.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.serve.http import docs_page
from app.serve.http.problems import asgi_response_to
from app.serve.models.live_models import LiveModels
from app.serve.process.readiness import Readiness
from app.serve.security.credentials import ANYONE, Credentials, scope_for
from app.serve.telemetry import request_log
from app.serve.telemetry.metrics import Metrics

ALWAYS_OPEN = "/v2/health/live"
CALLER = "snowsage.caller"

# From the OWASP REST security cheat sheet, for every response, errors included.
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
]
SECURITY_HEADERS = [*_ALWAYS, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
_DOCS_HEADERS = [*_ALWAYS, (b"content-security-policy", docs_page.CONTENT_SECURITY_POLICY.encode())]
_CLOSE = (b"connection", b"close")


class EdgeMiddleware:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        credentials: Credentials,
        metrics: Metrics,
        models: LiveModels,
        readiness: Readiness,
        open_paths: Iterable[str] = (),
    ) -> None:
        self._app, self._credentials, self._metrics, self._models = app, credentials, metrics, models
        self._readiness = readiness
        self._open = frozenset({ALWAYS_OPEN, *docs_page.PATHS, *open_paths})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        started = time.monotonic()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = _DOCS_HEADERS if scope["path"] in docs_page.PATHS else SECURITY_HEADERS
                message["headers"] = [*message.get("headers", []), *added]
                if self._readiness.draining:
                    message["headers"].append(_CLOSE)
            await send(message)

        self._metrics.in_flight += 1
        try:
            self._authorize(scope)
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if status is not None:
                raise  # part of a response is sent; only closing the connection can show the failure
            await asgi_response_to(error, scope["path"])(scope, receive, send_with_headers)
        finally:
            self._metrics.in_flight -= 1
            self._count(scope, status or 500)
            request_log.log_other(scope["method"], scope["path"], status or 500, scope[CALLER].name, started)

    def _authorize(self, scope: Scope) -> None:
        scope[CALLER] = ANYONE
        if scope["path"] not in self._open:
            scope[CALLER] = caller = self._credentials.caller_of(scope["headers"])
            caller.require(scope_for(scope["method"], scope["path"]))

    def _count(self, scope: Scope, status: int) -> None:
        route = getattr(scope.get("route"), "path", "")
        model = str(scope.get("path_params", {}).get("model", ""))
        self._metrics.count_request(model if self._models.knows(model) else "", route, status, scope[CALLER].name)
