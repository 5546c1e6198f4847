"""Load shedding: rejects a prediction request from its head alone, while the admission queue is too long for it.

In an overload nearly all requests are rejected, and the time that rejections take is lost to the requests that are answered. So a
connection that has read only the head of a prediction request asks ``LoadShedding``, and sends its prepared response. All
other requests, and every other fault, go to the application, which would answer the same.

Receiving the bodies of rejected requests costs as much as the rejections, so ``DiscardPace`` limits how many are received a second.
The others stay with TCP for a moment. Their senders have the response, which tells them to wait for at least as long.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Overloaded, Unauthorized
from app.serve.admission.queue import AdmissionQueue
from app.serve.admission.slots import caller_of
from app.serve.http.middleware import SECURITY_HEADERS
from app.serve.http.problems import response_to
from app.serve.http.routes import match
from app.serve.models.live_models import LiveModels
from app.serve.process.readiness import Readiness
from app.serve.request import USER_HEADER
from app.serve.security.credentials import Credentials
from app.serve.telemetry.metrics import Metrics

#: Rejected bodies that are received and discarded a second. Each frees its connection for the next request; with its rejection it
#: takes 0.15 to 0.2 ms, so all of them take a twentieth of a core.
DISCARDS_A_SECOND = 250
#: Seconds without rejections that can be made up for, so that short bursts do not wait.
_BURST_S = 0.2
#: The longest wait. ``Retry-After`` is never shorter than the wait at the time of the rejection.
LONGEST_WAIT_S = 2.0

_USER = USER_HEADER.encode()


@dataclass(frozen=True, slots=True)
class Rejection:
    """``rest``: the response's bytes after the status line and the headers that the server sends with every response."""

    status: int
    rest: bytes


class DiscardPace:
    """Spreads the receiving of rejected bodies over time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._turn_s = clock, 0.0

    def wait_s(self) -> float:
        """Seconds until one more rejected body may be received, up to ``LONGEST_WAIT_S``."""
        now = self._clock()
        next_s = max(self._turn_s, now - _BURST_S) + 1 / DISCARDS_A_SECOND
        self._turn_s = min(next_s, now + LONGEST_WAIT_S)
        return max(0.0, self._turn_s - now)

    def told_s(self) -> int:
        """Whole seconds that the sender of one more rejected body has to be told to wait at least: no less than ``wait_s``."""
        next_s = self._turn_s + 1 / DISCARDS_A_SECOND - self._clock()
        return math.ceil(min(max(next_s, 0.0), LONGEST_WAIT_S))


class LoadShedding:
    """Rejects from the head. ``pace``: for the bodies of rejected requests. Not thread-safe: it belongs to one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        models: LiveModels,
        queue: AdmissionQueue,
        metrics: Metrics,
        readiness: Readiness,
        budget_s: float,
    ) -> None:
        self._credentials, self._models, self._queue = credentials, models, queue
        self._metrics, self._readiness, self._budget_s = metrics, readiness, budget_s
        self.pace = DiscardPace()
        # By path and Retry-After, of which there are few: whole seconds up to a bound.
        self._prepared: dict[tuple[str, float | None], Rejection] = {}

    def rejection(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Rejection | None:
        """The rejection of a request with this head; None if the application has to look at it. ``headers``: as in ASGI."""
        if not self._queue.waiting or self._readiness.draining or method != b"POST":
            return None
        if (found := match(url.decode("latin-1"))) is None:
            return None
        route, parameters = found
        model = parameters["model"]
        try:
            caller = self._credentials.caller_of(headers)
        except Unauthorized:
            return None
        # A percent-encoded name, or a query string, matches no known name here; the application decodes it.
        if "predict" not in caller.scopes or not self._models.knows(model):
            return None
        user = _user(headers) if caller.gateway else ""
        limited = caller_of(user, caller.name)
        error = self._queue.rejection(model, limited, self._budget_s)
        if error is None:
            # It enters when the loop has read all heads that have arrived, which may be hundreds.
            asyncio.get_running_loop().call_soon(self._queue.announce(model, limited))
            return None
        error.retry_after_s = max(error.retry_after_s or 0, self.pace.told_s())
        rejection = self._prepared.get((route.path, error.retry_after_s)) or self._prepare(route.path, error)
        self._metrics.count_request(model, route.path, rejection.status, caller.name)
        return rejection

    def _prepare(self, path: str, error: Overloaded) -> Rejection:
        response = response_to(error, path)
        head = [b"%b: %b\r\n" % header for header in (*response.headers, *SECURITY_HEADERS)]
        prepared = Rejection(response.status, b"".join((*head, b"\r\n", response.body)))
        self._prepared[path, error.retry_after_s] = prepared
        return prepared


def _user(headers: list[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == _USER), "")
