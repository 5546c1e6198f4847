"""One request for predictions: what came, and what is known of it so far, also when it fails half-way."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

from app.deploy.live import LiveVersion
from app.serve.deadline import Deadline
from app.serve.rows import Scored

QUERY_HEADER = "sf-external-function-current-query-id"
USER_HEADER = "sf-context-current-user"
BATCH_HEADER = "sf-external-function-query-batch-id"


@dataclass(slots=True)
class Call:
    """A request on its way. ``raw``: the body as it came. ``headers``: names in lower case. ``caller``: who was let in, a name
    from the settings. ``at_ns``: when it came, in nanoseconds since 1970.

    ``deferrable``: it may be answered later, so a scorer may refuse to begin. ``live``, ``version``, ``variant``, ``rows``,
    ``compiled`` (as in ``Rows``), ``seconds`` (by phase: queue, decode, score, encode), and, where somebody traces it,
    ``trace_id`` (32 hex digits) and ``phase_span`` (opens a phase's span) are filled in on the way; in an experiment also
    ``by_version``, the rows that each version scored.
    """

    model: str
    headers: Mapping[str, str] = field(repr=False)  # with credentials
    deadline: Deadline
    raw: bytes = field(default=b"", repr=False)
    deferrable: bool = False
    live: LiveVersion | None = None
    version: str = ""
    variant: str = ""
    caller: str = ""
    trace_id: str = ""
    rows: int = 0
    compiled: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    at_ns: int = field(default_factory=time.time_ns)
    by_version: Sequence[tuple[str, int]] = ()
    phase_span: Callable[[str], AbstractContextManager[None]] | None = None

    @property
    def query_id(self) -> str:
        """Snowflake's name of the query, empty for other callers."""
        return self.headers.get(QUERY_HEADER, "")

    @property
    def batch_id(self) -> str:
        """Snowflake's name of the batch, the same when it is sent again; opaque; empty for other callers."""
        return self.headers.get(BATCH_HEADER, "")

    @property
    def user(self) -> str:
        """Snowflake's user, where the function asks for it (``CONTEXT_HEADERS``) and whom the gateway vouches for.

        Its own spelling is the one in base64: illegal characters are blanked in the plain header.
        """
        encoded = self.headers.get(f"{USER_HEADER}-base64", "")
        try:
            return base64.b64decode(encoded, validate=True).decode() or self.headers.get(USER_HEADER, "")
        except ValueError:
            return self.headers.get(USER_HEADER, "")

    def answered_by(self, scored: Scored) -> None:
        """Its rows were scored."""
        self.variant = scored.variant
        if scored.arms is None:
            return
        counts = scored.arms.counts()
        self.version = scored.version(self.version)
        self.by_version = [(share.version, rows) for share, rows in counts]
        if scored.variant:
            self.variant = ", ".join(share.variant for share, _ in counts)

    def phase(self, name: str) -> Phase:
        """A block whose time is added to the phase ``name``."""
        return Phase(self, name)


class Phase:
    """A phase's block. Not made of a generator: a single row passes three of them."""

    __slots__ = ("_began", "_call", "_name", "_span")

    def __init__(self, call: Call, name: str) -> None:
        self._call, self._name = call, name
        self._span = call.phase_span(name) if call.phase_span is not None else None

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
        seconds = self._call.seconds
        seconds[self._name] = seconds.get(self._name, 0.0) + time.perf_counter() - self._began
