"""The live models in memory: the records that ``deploy`` writes to S3, and for each request the version that answers it.

A request takes the frozen version once and uses it to its end, so a version switch is atomic for it. Records are read again
every few seconds (``watch``), so that replicas that got no refresh learn of a new version before it starts.

Reads of S3 go through one lock. So a refresh never replaces a newer record by an older one, and callers who invent model names
cannot cause many parallel requests to S3; models in memory never wait for the lock.
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
from app.serve.models.version_switch import VersionSwitch

#: Seconds for which an unknown name is answered without another request to S3.
UNKNOWN_FOR_S = 5.0
#: Seconds between two attempts to read all records after a failure.
RELOAD_AFTER_S = 5.0

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MAX_UNKNOWN_NAMES = 1024

_logger = logging.getLogger(__name__)


class LiveModels:
    """The live versions of all models in a bucket. Thread-safe."""

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[LiveVersion], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``prepare``: called with each version before it answers; ``now``: the time of day, for the records' start times."""
        self._store, self._bucket, self._clock, self._prepare = store, bucket, clock, prepare
        self._now = now
        self._switches: dict[str, VersionSwitch] = {}
        self._unknown: dict[str, float] = {}  # name -> when S3 is asked again
        self._reading, self._loading = Lock(), Lock()
        self._fault: str | None = "the live records were not read yet"
        self._load_again_at = -math.inf

    def load(self) -> None:
        """Read every live record in the bucket, unless that is done, is running, or failed less than ``RELOAD_AFTER_S`` ago.

        A failure is kept in ``fault`` and not raised: readiness probes call again.
        """
        if self._fault is None or not self._loading.acquire(blocking=False):
            return
        try:
            if self._clock() >= self._load_again_at:
                self._fault = self._read_all()
                self._load_again_at = self._clock() + RELOAD_AFTER_S
        finally:
            self._loading.release()

    @property
    def fault(self) -> str | None:
        """Why the live records could not be read, without addresses; None after they were."""
        return self._fault

    def all(self) -> list[LiveVersion]:
        """Every version that answers now."""
        return [switch.live() for switch in list(self._switches.values())]

    def knows(self, model: str) -> bool:
        """Whether ``model`` is in memory. Does no I/O."""
        return model in self._switches

    def peek(self, model: str, query_id: str = "") -> LiveVersion | None:
        """The version in memory for a request of a query, if any. Does no I/O."""
        switch = self._switches.get(model)
        return switch.version_for(query_id) if switch else None

    def get(self, model: str, query_id: str = "") -> LiveVersion:
        """The version of ``model`` for a request of a query, looked up on S3 if it is not in memory. Raises NotFound."""
        switch = self._switches.get(model) or self._look_up(model)
        return switch.version_for(query_id)

    def refresh(self, model: str) -> LiveVersion:
        """Read the record of ``model`` again; returns the newest version, which answers from its start time on.

        Raises NotFound, and then no longer serves the model.
        """
        with self._reading:
            return self._take(model).newest()

    def watch(self) -> None:
        """Read the records of all models in memory again. Failures are logged; their models stay unchanged."""
        for model in list(self._switches):
            try:
                self.refresh(model)
            except SnowsageError as error:
                log.event(_logger, logging.WARNING, "a live record cannot be read", model=model, error=error)

    def _look_up(self, model: str) -> VersionSwitch:
        with self._reading:
            if switch := self._switches.get(model):  # another request was first
                return switch
            if self._clock() < self._unknown.get(model, -math.inf):
                raise _not_found(model)
            return self._take(model)

    def _take(self, model: str) -> VersionSwitch:
        try:
            record = self._read(model)
        except NotFound:
            self._switches.pop(model, None)
            self._remember_unknown(model)
            raise
        self._unknown.pop(model, None)
        if switch := self._switches.get(model):
            switch.update(record)
        else:
            # No version answered here before, so there is no start time to wait for.
            switch = self._switches[model] = VersionSwitch(record, self._now)
        return switch

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
            # The fault is in the service's rights, not in the request.
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
