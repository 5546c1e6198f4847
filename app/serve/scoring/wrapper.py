"""A scorer around another one, which does as that one does wherever it has no say of its own."""

from __future__ import annotations

from app.deploy.live import LiveVersion
from app.serve.request import Call
from app.serve.rows import Rows, Scored
from app.serve.scoring.scorer import Scorer


class Around:
    """``inner``: the other one."""

    def __init__(self, inner: Scorer) -> None:
        self._inner = inner

    @property
    def computes(self) -> bool:
        """As the other one says."""
        return self._inner.computes

    def prepare(self, live: LiveVersion) -> None:
        """As the other one does."""
        self._inner.prepare(live)

    def check(self, live: LiveVersion) -> None:
        """As the other one does."""
        self._inner.check(live)

    def at_once(self, live: LiveVersion) -> bool:
        """As the other one says."""
        return self._inner.at_once(live)

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """As the other one does."""
        return self._inner.score(live, rows, call)
