"""Who scores: the port that both scorers fill, and which of them a live version asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.deploy.live import LiveVersion, ScorerName
from app.serve.request import Call
from app.serve.rows import Rows, Scored


class Scorer(Protocol):
    """Rows -> scores, in order, for one way of holding a model."""

    def prepare(self, live: LiveVersion) -> None:
        """Make ready what the first request would otherwise wait for."""

    def check(self, live: LiveVersion) -> None:
        """Raise TransientError where it is known that scoring would fail now. Costs nothing, for it runs on the event loop."""

    @property
    def computes(self) -> bool:
        """Whether scoring keeps a core of this machine busy, rather than waits for another."""

    def at_once(self, live: LiveVersion) -> bool:
        """Whether a few rows are scored sooner than a thread is woken for them: without waiting for anything."""

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """Scores [rows]. Blocks, at most until ``call.deadline``."""


Scorers = Mapping[ScorerName, Scorer]
