"""One request's way: which version is live -> matrix -> scores -> reply, timed phase by phase. Blocks; runs in a thread.

Decided here: a version is taken once and used to the end. Where the endpoint refuses the rows, it may already run the next
version: the live record is read again, and if it changed, the request is decoded anew for it, once. A second refusal, or a
record that did not change, is final and a 4xx, for Snowflake would repeat a 5xx for minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.deploy.live import LiveVersion
from app.ports import ScoringEndpoint
from app.serve.codec import Scores
from app.serve.models import LiveModels
from app.serve.scoring import Refused, score
from sagemaker_entry.model import Matrix

Decode = Callable[[LiveVersion], Matrix]
Encode = Callable[[Scores, LiveVersion], bytes]


@dataclass
class Course:
    """What is known of a request so far, also when it fails half-way. ``seconds``: by phase, decode, score, encode."""

    model: str
    version: str = ""
    rows: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to the phase ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def predict(models: LiveModels, endpoint: ScoringEndpoint, course: Course, decode: Decode, encode: Encode) -> bytes:
    """The reply's body for the rows that ``decode`` gives; ``course.version`` is then the version that answered."""
    live = models.get(course.model)
    try:
        return _predict_with(live, endpoint, course, decode, encode)
    except Refused:
        current = models.refresh(course.model)
        if current == live:
            raise
        return _predict_with(current, endpoint, course, decode, encode)


def _predict_with(
    live: LiveVersion, endpoint: ScoringEndpoint, course: Course, decode: Decode, encode: Encode
) -> bytes:
    course.version = live.version
    with course.phase("decode"):
        matrix = decode(live)
    course.rows = len(matrix)
    with course.phase("score"):
        scores = score(endpoint, live, matrix)
    with course.phase("encode"):
        return encode(scores, live)
