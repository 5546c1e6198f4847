"""One request for predictions: what came, and what is known of it so far, also when it fails half-way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.deploy.live import LiveVersion
from app.serve.deadline import Deadline

QUERY_HEADER = "sf-external-function-current-query-id"
BATCH_HEADER = "sf-external-function-query-batch-id"


@dataclass(slots=True)
class Call:
    """A request on its way. ``raw``: the body as it came. ``headers``: names in lower case.

    ``deferrable``: it may be answered later, so a scorer may refuse to begin. ``live``, ``version``, ``variant``, ``rows`` and
    ``seconds`` (by phase: queue, decode, score, encode) are filled in on the way.
    """

    model: str
    headers: Mapping[str, str]
    deadline: Deadline
    raw: bytes = b""
    deferrable: bool = False
    live: LiveVersion | None = None
    version: str = ""
    variant: str = ""
    rows: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def query_id(self) -> str:
        """Snowflake's name of the query, empty for other callers."""
        return self.headers.get(QUERY_HEADER, "")

    @property
    def batch_id(self) -> str:
        """Snowflake's name of the batch, the same when it is sent again; opaque; empty for other callers."""
        return self.headers.get(BATCH_HEADER, "")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to the phase ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
