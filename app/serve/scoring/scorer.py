"""The scorer interface: what the endpoint, the model in this process, and the wrappers around both provide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.deploy.live import LiveVersion, ScorerName
from app.serve.request import PredictionRequest
from app.serve.rows import Rows, Scored


class DeferralNeeded(Exception):
    """Not an error: the batch would not finish before its request's deadline, so nothing was scored."""


class Scorer(Protocol):
    """Rows to scores, in order."""

    def prepare(self, live: LiveVersion) -> None:
        """Load what the first request would otherwise wait for."""

    def check(self, live: LiveVersion) -> None:
        """Raise TransientError if scoring is known to fail now. Must not block: it runs on the event loop."""

    @property
    def computes(self) -> bool:
        """Whether scoring keeps a core of this machine busy, rather than waits for another machine."""

    def inline(self, live: LiveVersion) -> bool:
        """Whether a few rows are scored without waiting, faster than a thread is woken for them."""

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """Scores [rows]. Blocks, at most until ``request.deadline``."""


Scorers = Mapping[ScorerName, Scorer]


class ScorerWrapper:
    """A scorer that passes everything to ``inner``; subclasses override what they change."""

    def __init__(self, inner: Scorer) -> None:
        self._inner = inner

    @property
    def computes(self) -> bool:
        """As the inner scorer."""
        return self._inner.computes

    def prepare(self, live: LiveVersion) -> None:
        """As the inner scorer."""
        self._inner.prepare(live)

    def check(self, live: LiveVersion) -> None:
        """As the inner scorer."""
        self._inner.check(live)

    def inline(self, live: LiveVersion) -> bool:
        """As the inner scorer."""
        return self._inner.inline(live)

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """As the inner scorer."""
        return self._inner.score(live, rows, request)
