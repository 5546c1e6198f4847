"""The live models in memory: the records that ``deploy`` writes to S3, and for each request the version that answers it.

A request takes the frozen version once and uses it to its end, so a version switch is atomic for it. Records are read again
every few seconds (``watch``), so that replicas that got no refresh learn of a new version before it starts.

A model whose record or artefact cannot be loaded is that model's trouble alone: its fault is kept by name, its version in memory
continues to answer, and it is tried again with growing delays. Whatever is raised on the way, no model's failure reaches another
or ends the watching.

Reads of S3 go through one lock. So a refresh never replaces a newer record by an older one, and callers who invent model names
cannot cause many parallel requests to S3; models in memory never wait for the lock.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from app import log
from app.deploy.live import LiveVersion, live_uri
from app.errors import CallerError, NotFound, PermanentError, SnowsageError, TransientError
from app.ports import ObjectStore
from app.serve.models.version_switch import VersionSwitch

#: Seconds for which an unknown name is answered without another request to S3.
UNKNOWN_FOR_S = 5.0
#: Seconds between two attempts to list the records after a failure.
RELOAD_AFTER_S = 5.0
#: Seconds until a model that could not be loaded is tried again: the first delay, which doubles, and its bound.
RETRY_AFTER_S, MAX_RETRY_AFTER_S = 5.0, 300.0

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MAX_UNKNOWN_NAMES = 1024

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFault:
    """Why a model could not be loaded. ``failures``: in a row; ``retry_at``: when it is tried again, on the models' clock."""

    error: SnowsageError
    failures: int
    retry_at: float

    def again(self, after_s: float) -> SnowsageError:
        """The error, for a request in the meantime."""
        if isinstance(self.error, TransientError):
            return TransientError(str(self.error), retry_after_s=after_s)
        return PermanentError(str(self.error))


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
        self._faults: dict[str, ModelFault] = {}
        self._reading, self._loading = Lock(), Lock()
        self._fault: str | None = "the live records were not read yet"
        self._load_again_at = -math.inf
        #: Failed attempts to load each model, since the start. The names are those of records, not of requests.
        self.load_failures: Counter[str] = Counter()

    def load(self) -> None:
        """Read every live record in the bucket, unless that is done, is running, or failed less than ``RELOAD_AFTER_S`` ago.

        A failure is kept in ``fault`` or ``faults`` and not raised: readiness probes call again.
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
        """Why no model answers, without addresses; None once the records are listed and one model answers, or there is none."""
        if self._fault is None and self._faults and not self._switches:
            return f"no model can be loaded: {', '.join(self.faults)}"
        return self._fault

    @property
    def faults(self) -> Mapping[str, str]:
        """The models whose newest record could not be loaded, each with the kind of its error."""
        return {model: type(fault.error).__name__ for model, fault in sorted(self._faults.copy().items())}

    def all(self) -> list[LiveVersion]:
        """Every version that answers now."""
        return [switch.live() for switch in list(self._switches.values())]

    def knows(self, model: str) -> bool:
        """Whether ``model`` is in memory. Does no I/O."""
        return model in self._switches

    def peek(self, model: str, query_id: str = "", caller: str = "") -> LiveVersion | None:
        """The version in memory for a request of a query, if any. Does no I/O."""
        switch = self._switches.get(model)
        return switch.version_for(query_id, caller) if switch else None

    def get(self, model: str, query_id: str = "", caller: str = "") -> LiveVersion:
        """The version of ``model`` for a request of a query, looked up on S3 if it is not in memory.

        Raises NotFound, or the error of a model that cannot be loaded, which is not tried again before its delay is over.
        """
        switch = self._switches.get(model) or self._look_up(model)
        return switch.version_for(query_id, caller)

    def refresh(self, model: str) -> LiveVersion:
        """Read the record of ``model`` again; returns the newest version, which answers from its start time on.

        Raises NotFound, and then no longer serves the model.
        """
        with self._reading:
            return self._take(model).newest()

    def watch(self) -> None:
        """Read the records of all models again that are in memory, or that failed and whose delay is over. Never raises."""
        now = self._clock()
        for model in sorted({*list(self._switches), *self._faults.copy()}):
            fault = self._faults.get(model)
            if fault is None or now >= fault.retry_at:
                self._try_to_refresh(model)

    def _look_up(self, model: str) -> VersionSwitch:
        with self._reading:
            if switch := self._switches.get(model):  # another request was first
                return switch
            now = self._clock()
            if now < self._unknown.get(model, -math.inf):
                raise _not_found(model)
            if (fault := self._faults.get(model)) and now < fault.retry_at:
                raise fault.again(fault.retry_at - now)
            return self._take(model)

    def _take(self, model: str) -> VersionSwitch:
        """Load the record. A failure is kept, unless no record of this name was ever read: requests choose names."""
        recorded = model in self._switches or model in self._faults
        try:
            record = self._read(model)
        except NotFound:
            self._switches.pop(model, None)
            self._faults.pop(model, None)
            self._remember_unknown(model)
            raise
        except Exception as error:
            if not recorded:
                raise
            raise self._failed(model, error) from error
        try:
            switch = self._applied(model, record)
        except Exception as error:  # the record and the artefact come from outside, so anything may be raised
            raise self._failed(model, error) from error
        self._unknown.pop(model, None)
        self._faults.pop(model, None)
        return switch

    def _applied(self, model: str, record: bytes) -> VersionSwitch:
        live = LiveVersion.from_json(record)
        if live.model != model:
            raise PermanentError(f"the live record of model {model} is another model's; run `snowsage deploy` again")
        self._prepare(live)
        if switch := self._switches.get(model):
            switch.update(live)
        else:
            # No version answered here before, so there is no start time to wait for.
            switch = self._switches[model] = VersionSwitch(live, self._now)
        return switch

    def _failed(self, model: str, error: Exception) -> SnowsageError:
        """Keep the fault of a model; returns the error to raise."""
        failure = _failure_of(model, error)
        last = self._faults.get(model)
        failures = last.failures + 1 if last else 1
        delay_s = min(RETRY_AFTER_S * 2.0 ** min(failures - 1, 10), MAX_RETRY_AFTER_S)
        self._faults[model] = ModelFault(failure, failures, self._clock() + delay_s)
        self.load_failures[model] += 1
        log.event(
            _logger,
            logging.WARNING,
            "a model cannot be loaded",
            model=model,
            previous_answers=model in self._switches,
            failures=failures,
            again_in_s=delay_s,
            error=failure,
        )
        return failure

    def _remember_unknown(self, model: str) -> None:
        if len(self._unknown) >= _MAX_UNKNOWN_NAMES:
            self._unknown.clear()
        self._unknown[model] = self._clock() + UNKNOWN_FOR_S

    def _read(self, model: str) -> bytes:
        """The bytes of the record."""
        if not _MODEL_NAME.fullmatch(model):
            raise _not_found(model)
        try:
            return self._store.read(live_uri(self._bucket, model))
        except NotFound:
            raise _not_found(model) from None
        except CallerError as error:
            # The fault is in the service's rights, not in the request.
            raise PermanentError(f"the live record of model {model} cannot be read: {error}") from error

    def _read_all(self) -> str | None:
        try:
            names = self._store.folders(f"s3://{self._bucket}/")
        except Exception as error:
            shown = error if isinstance(error, SnowsageError) else type(error).__name__
            log.event(_logger, logging.WARNING, "the bucket cannot be listed", error=shown)
            return f"the bucket cannot be listed ({type(error).__name__})"
        for name in names:
            if _MODEL_NAME.fullmatch(name):
                self._try_to_refresh(name)
        return None

    def _try_to_refresh(self, model: str) -> None:
        """Refresh a model that has a record or a folder. A failure is kept in ``faults``."""
        known = model in self._switches
        try:
            self.refresh(model)
        except NotFound:
            if known:
                log.event(_logger, logging.WARNING, "a model is no longer live", model=model)
        except Exception as error:
            with self._reading:
                if model not in self._faults:  # its record could not be read
                    self._failed(model, error)


def _failure_of(model: str, error: Exception) -> SnowsageError:
    """The error of a model that cannot be loaded: never the caller's, and without the text of an unexpected one."""
    if isinstance(error, CallerError):
        return PermanentError(f"model {model} cannot be loaded: {error}")
    if isinstance(error, SnowsageError):
        return error
    if isinstance(error, OSError):
        return TransientError(f"model {model} cannot be loaded now ({error.strerror or type(error).__name__})")
    return PermanentError(f"model {model} cannot be loaded ({type(error).__name__}); run `snowsage deploy` again")


def _not_found(model: str) -> NotFound:
    shown = model if _MODEL_NAME.fullmatch(model) else "of this name"
    return NotFound(f"no live version of a model {shown} exists; run `snowsage deploy` for it")
