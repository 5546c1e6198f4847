"""The outermost layer around all routes: the secret, the security headers, the request counters, the last resort.

Paths are closed unless they are listed here, also those that do not exist. Open are the two health checks, which probes
without a secret call, and the description of the API, which a browser could not open otherwise: it cannot send the header,
and the description names no model and no data.

The one surprise: this is bare ASGI, for the framework's own middleware would copy every body through a queue.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Unauthorized
from app.serve.metrics import Metrics
from app.serve.models import LiveModels
from app.serve.problems import answer_to
from app.serve.readiness import Readiness
from app.serve.security import HEADER, Secrets

OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"})

_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_CLOSE = (b"connection", b"close")
_SECRET_NAME = HEADER.encode()


class Edge:
    """ASGI middleware."""

    def __init__(
        self, app: ASGIApp, secrets: Secrets, metrics: Metrics, models: LiveModels, readiness: Readiness
    ) -> None:
        self._app, self._secrets, self._metrics, self._models = app, secrets, metrics, models
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_HEADERS]
                if self._readiness.draining:
                    message["headers"].append(_CLOSE)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                self._admit(scope)
                await self._app(scope, receive, send_on)
            except Exception as error:
                if status is not None:
                    raise  # half an answer is out; only cutting the connection tells the caller
                await answer_to(error, scope["path"])(scope, receive, send_on)
            finally:
                self._count(scope, status or 500)

    def _admit(self, scope: Scope) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        presented = next((value for name, value in scope["headers"] if name == _SECRET_NAME), None)
        if not self._secrets.admits(presented):
            raise Unauthorized(f"the header {HEADER} is missing or wrong")

    def _count(self, scope: Scope, status: int) -> None:
        route = getattr(scope.get("route"), "path", "")
        model = str(scope.get("path_params", {}).get("model", ""))
        self._metrics.count_request(model if self._models.knows(model) else "", route, status)
