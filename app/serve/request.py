"""A request for predictions: what the caller sent, and what has been found out about it, for logs and metrics even if it fails."""

from __future__ import annotations

import base64
import hashlib
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

#: Characters of an id or a name that is kept, logged or traced as it is. Snowflake's ids have 36.
MAX_ID_CHARS = 128


def bounded(text: str) -> str:
    """``text`` if it is short and printable ASCII, as ids are; otherwise its digest, which identifies it as well."""
    if len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable():
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(slots=True)
class PredictionRequest:
    """One request. ``raw``: the body as received. ``headers``: names in lower case. ``caller``: the credential's name, from the
    settings; ``gateway``: it is the gateway, so ``user`` is Snowflake's word and not the caller's own. ``at_ns``: time of
    arrival, in nanoseconds since 1970.

    ``deferrable``: it may be answered later, so a scorer may raise DeferralNeeded. The other fields are filled in on the way:
    ``live``, ``version``, ``variant``, ``rows``, ``compiled`` (as in ``Rows``), ``seconds`` (by phase: queue, decode, score,
    encode); if it is traced, ``trace_id`` (32 hex digits) and ``phase_span`` (opens a phase's span); in an experiment
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
    gateway: bool = True
    trace_id: str = ""
    rows: int = 0
    compiled: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    at_ns: int = field(default_factory=time.time_ns)
    by_version: Sequence[tuple[str, int]] = ()
    phase_span: Callable[[str], AbstractContextManager[None]] | None = None
    #: Snowflake's ids of the query and of the batch, which is the same when the batch is sent again; opaque; empty for other
    #: callers; bounded, because they are kept.
    query_id: str = field(init=False)
    batch_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.query_id = bounded(self.headers.get(QUERY_HEADER, ""))
        self.batch_id = bounded(self.headers.get(BATCH_HEADER, ""))

    @property
    def user(self) -> str:
        """Snowflake's user, if the function sends it (``CONTEXT_HEADERS``). For the log only: any caller may send the header.

        The base64 header has the exact name. In the plain one, illegal characters are replaced by blanks.
        """
        plain, encoded = self.headers.get(USER_HEADER, ""), self.headers.get(f"{USER_HEADER}-base64")
        if not encoded:
            return plain
        try:
            return base64.b64decode(encoded, validate=True).decode() or plain
        except ValueError:
            return plain

    def record_scored(self, scored: Scored) -> None:
        """Fill in which version and variant scored the rows."""
        self.variant = scored.variant
        if scored.assignment is None:
            return
        counts = scored.assignment.counts()
        self.version = scored.version(self.version)
        self.by_version = [(share.version, rows) for share, rows in counts]
        if scored.variant:
            self.variant = ", ".join(share.variant for share, _ in counts)

    def phase(self, name: str) -> Phase:
        """A block whose duration is added to the phase ``name``."""
        return Phase(self, name)


class Phase:
    """The block of a phase. A class rather than a generator, because a single row passes three of them."""

    __slots__ = ("_name", "_request", "_span", "_started")

    def __init__(self, request: PredictionRequest, name: str) -> None:
        self._request, self._name = request, name
        self._span = request.phase_span(name) if request.phase_span is not None else None

    def __enter__(self) -> None:
        self._started = time.perf_counter()
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
        seconds = self._request.seconds
        seconds[self._name] = seconds.get(self._name, 0.0) + time.perf_counter() - self._started
