"""What is live, in memory: the records that ``deploy`` leaves on S3 -> for each call the ``LiveVersion`` that answers it.

A request takes the frozen value once and works with it to its end, so that a switch of versions is atomic for it. Records are
read again every few seconds (``watch``), so that replicas that nobody told of a new version learn of it before its moment.

The one surprise: reads of S3 stand in line behind one lock. A refresh then never puts an older record over a newer one,
and callers who invent names cannot open many requests to S3 at a time; models in memory never wait for it.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from threading import Lock

from app import log
from app.deploy.live import LiveVersion, live_uri
from app.errors import CallerError, NotFound, PermanentError, SnowsageError
from app.ports import ObjectStore
from app.serve.models.version_switch import Track

#: Seconds for which a name that was not found is answered without asking S3 again.
UNKNOWN_FOR_S = 5.0
#: Seconds between two attempts to read all records, where the first one failed.
RELOAD_AFTER_S = 5.0

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MAX_UNKNOWN_NAMES = 1024

_logger = logging.getLogger(__name__)


class LiveModels:
    """The live versions of all models in a bucket. Safe to use from several threads."""

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[LiveVersion], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        reload_after_s: float = RELOAD_AFTER_S,
    ) -> None:
        """``prepare`` is called with each version before it answers; ``now`` is the time of day, for the records' moments."""
        self._store, self._bucket, self._clock, self._prepare = store, bucket, clock, prepare
        self._now, self._reload_after_s = now, reload_after_s
        self._tracks: dict[str, Track] = {}
        self._unknown: dict[str, float] = {}  # name -> the time from which S3 is asked again
        self._reading, self._loading = Lock(), Lock()
        self._fault: str | None = "the live records were not read yet"
        self._load_again_at = -math.inf

    def load(self) -> None:
        """Read every live record in the bucket, unless that was done, is being done, or failed a moment ago.

        A failure is kept for ``fault`` and not raised: readiness probes call again.
        """
        if self._fault is None or not self._loading.acquire(blocking=False):
            return
        try:
            if self._clock() >= self._load_again_at:
                self._fault = self._read_all()
                self._load_again_at = self._clock() + self._reload_after_s
        finally:
            self._loading.release()

    @property
    def fault(self) -> str | None:
        """Why the live records could not be read, in words that hold no address; None once they were."""
        return self._fault

    def all(self) -> list[LiveVersion]:
        """Every version that answers now."""
        return [track.live() for track in list(self._tracks.values())]

    def knows(self, model: str) -> bool:
        """Whether ``model`` is in memory; asks nobody."""
        return model in self._tracks

    def peek(self, model: str, query_id: str = "") -> LiveVersion | None:
        """The version in memory for a call of a query, if any; asks nobody."""
        track = self._tracks.get(model)
        return track.version_for(query_id) if track else None

    def get(self, model: str, query_id: str = "") -> LiveVersion:
        """The version of ``model`` for a call of a query, looked up on S3 where memory has none. Raises NotFound."""
        track = self._tracks.get(model) or self._look_up(model)
        return track.version_for(query_id)

    def refresh(self, model: str) -> LiveVersion:
        """Read the record of ``model`` again: the version that answers, or will from its moment on.

        Raises NotFound, and then no longer serves it.
        """
        with self._reading:
            return self._take(model).newest()

    def watch(self) -> None:
        """Read the records of all models in memory again. What fails is logged and stays as it was."""
        for model in list(self._tracks):
            try:
                self.refresh(model)
            except SnowsageError as error:
                log.event(_logger, logging.WARNING, "a live record cannot be read", model=model, error=error)

    def _look_up(self, model: str) -> Track:
        with self._reading:
            if track := self._tracks.get(model):  # another request was quicker
                return track
            if self._clock() < self._unknown.get(model, -math.inf):
                raise _not_found(model)
            return self._take(model)

    def _take(self, model: str) -> Track:
        try:
            record = self._read(model)
        except NotFound:
            self._tracks.pop(model, None)
            self._remember_unknown(model)
            raise
        self._unknown.pop(model, None)
        if track := self._tracks.get(model):
            track.offer(record)
        else:
            # Nothing answered before it here, so there is no moment to wait for.
            track = self._tracks[model] = Track(record, self._now)
        return track

    def _remember_unknown(self, model: str) -> None:
        if len(self._unknown) >= _MAX_UNKNOWN_NAMES:
            self._unknown.clear()
        self._unknown[model] = self._clock() + UNKNOWN_FOR_S

    def _read(self, model: str) -> LiveVersion:
        if not _MODEL_NAME.fullmatch(model):
            raise _not_found(model)
        try:
            body = self._store.read(live_uri(self._bucket, model))
        except NotFound:
            raise _not_found(model) from None
        except CallerError as error:
            # The service's own rights are at fault, not the caller's request.
            raise PermanentError(f"the live record of model {model} cannot be read: {error}") from error
        live = LiveVersion.from_json(body)
        if live.model != model:
            raise PermanentError(f"the live record of model {model} is another model's; run `snowsage deploy` again")
        self._prepare(live)
        return live

    def _read_all(self) -> str | None:
        try:
            names = self._store.folders(f"s3://{self._bucket}/")
        except SnowsageError as error:
            log.event(_logger, logging.WARNING, "the bucket cannot be listed", error=error)
            return f"the bucket cannot be listed ({type(error).__name__})"
        faults = [fault for name in names if _MODEL_NAME.fullmatch(name) and (fault := self._fault_of(name))]
        return "; ".join(faults) or None

    def _fault_of(self, model: str) -> str | None:
        try:
            self.refresh(model)
        except NotFound:
            return None  # a pipeline without a live version
        except SnowsageError as error:
            log.event(_logger, logging.WARNING, "a live record cannot be read", model=model, error=error)
            return f"the live record of {model} cannot be read ({type(error).__name__})"
        return None


def _not_found(model: str) -> NotFound:
    shown = model if _MODEL_NAME.fullmatch(model) else "of this name"
    return NotFound(f"no live version of a model {shown} exists; run `snowsage deploy` for it")
