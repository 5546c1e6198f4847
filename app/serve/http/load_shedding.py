"""The door: a request's head -> the refusal that the gate would give it, ready to be sent; nothing for those who may come in.

In an overload nearly all that arrives is refused, and what refusing costs is lost for the requests that are answered. So the two
busiest routes are refused here, from bytes made before, where a connection has read no more than a head; everything else, and
every fault but this one, goes on to the application, which would say the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import Overloaded, Unauthorized
from app.serve.admission.queue import Gate
from app.serve.admission.slots import caller_of
from app.serve.http.middleware import GUARDS
from app.serve.models.live_models import LiveModels
from app.serve.process.readiness import Readiness
from app.serve.request import USER_HEADER
from app.serve.response import Answer
from app.serve.security.credentials import Credentials
from app.serve.telemetry.metrics import Metrics

# Names as they are ordinarily; others go the long way.
_BUSIEST = re.compile(rb"/(?:predict/([\w.-]+)|models/([\w.-]+)/predict)")
_USER = USER_HEADER.encode()

SNOWFLAKE_PATH, NAMED_PATH = "/predict/{model}", "/models/{model}/predict"


@dataclass(frozen=True, slots=True)
class Refusal:
    """``rest``: the answer's bytes behind the status line and the headers that a server gives every answer."""

    status: int
    rest: bytes


class Door:
    """Turns away. For the event loop alone."""

    def __init__(
        self,
        credentials: Credentials,
        models: LiveModels,
        gate: Gate,
        metrics: Metrics,
        readiness: Readiness,
        budget_s: float,
    ) -> None:
        self._credentials, self._models, self._gate = credentials, models, gate
        self._metrics, self._readiness, self._budget_s = metrics, readiness, budget_s
        # By path and seconds to wait, which are whole and few.
        self._made: dict[tuple[str, float | None], Refusal] = {}

    def refusal(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        """The refusal of a request with this head; None where the application has to look at it. ``headers``: as ASGI has them."""
        if not self._gate.waiting or self._readiness.draining or method != b"POST":
            return None
        if (found := _BUSIEST.fullmatch(url)) is None:
            return None
        snowflakes, named = found.groups()
        model = (snowflakes or named).decode()
        try:
            caller = self._credentials.caller_of(headers)
        except Unauthorized:
            return None
        if "predict" not in caller.scopes or not self._models.knows(model):
            return None
        if (error := self._gate.refusal(model, caller_of(_user(headers), caller.name), self._budget_s)) is None:
            return None
        path = SNOWFLAKE_PATH if snowflakes else NAMED_PATH
        refusal = self._made.get((path, error.retry_after_s)) or self._make(path, error)
        self._metrics.count_request(model, path, refusal.status, caller.name)
        return refusal

    def _make(self, path: str, error: Overloaded) -> Refusal:
        answer = Answer.refusing(error, path)
        head = [b"%b: %b\r\n" % header for header in (*answer.headers, *GUARDS)]
        made = self._made[path, error.retry_after_s] = Refusal(answer.status, b"".join((*head, b"\r\n", answer.body)))
        return made


def _user(headers: list[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == _USER), "")
