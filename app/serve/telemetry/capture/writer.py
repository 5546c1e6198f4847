"""The capture writer: queues scored batches in memory, and writes them to files below ``<model>/serve/capture/date=<day of the
request, UTC>/``.

The queue holds references to the arrays of the scoring, no copies, up to a number of bytes; beyond it rows are lost. A thread
checks it a few times a second, so that adding a batch wakes no thread. It writes a file once it has enough rows or enough time
has passed, tries a failed write again under the same name, with growing waits, and finally drops it.

A file is complete or does not exist, but a batch that Snowflake sent twice may be in two files; ``query_id``, ``batch_id`` and
``row`` identify the duplicates.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from app import log
from app.deploy.live import LiveVersion
from app.errors import SnowsageError
from app.ports import ObjectStore
from app.serve.request import PredictionRequest
from app.serve.rows import KeysInBody, Rows, Scored
from app.serve.sampling import sampled
from app.serve.telemetry.capture import ATTEMPTS, CHECK_EVERY_S
from app.serve.telemetry.capture.sample import Indexes, chosen_keys, key_texts
from app.serve.telemetry.capture.table import Part, to_parquet
from app.settings import ServeSettings

#: Seconds for the last files to be written when the process ends.
CLOSE_S = 5.0

_KEY_BYTES = 64  # approximate size of a key as a Python object

_logger = logging.getLogger(__name__)


class Counters(Protocol):
    """Counts captured rows."""

    def count_captured(self, rows: int) -> None:
        """Count rows that are on S3."""

    def count_lost(self, reason: str, rows: int) -> None:
        """Count sampled rows that will not be written."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A batch in the queue. Not the request itself, which holds the whole body."""

    live: LiveVersion
    rows: Rows
    scored: Scored
    query_id: str
    batch_id: str
    at_ns: int
    size_bytes: int


@dataclass(slots=True)
class _File:
    """The rows of one file. ``due_at``: when it is written at the latest, or tried again."""

    uri: str
    due_at: float
    parts: list[Part] = field(default_factory=list)
    rows: int = 0
    failures: int = 0

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


class Capture:
    """Takes scored batches. ``take`` is thread-safe; everything else happens on one thread.

    ``check_every_s``: seconds between two checks of the queue.
    """

    def __init__(
        self,
        store: ObjectStore,
        settings: ServeSettings,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._store, self._settings, self._counters, self._clock = store, settings, counters, clock
        self._check_every_s = check_every_s
        self._queue: deque[_Taken] = deque()
        self._bytes, self._no_room, self._lock = 0, 0, threading.Lock()
        self._files: dict[tuple[str, str, str], _File] = {}
        self._failed: list[_File] = []
        self._writing_rows = 0
        self._process, self._named = secrets.token_hex(4), 0
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def take(self, request: PredictionRequest, live: LiveVersion, rows: Rows, scored: Scored) -> None:
        """Capture the batch if it, or one of its rows, is in the sample. Never waits for S3 and never fails."""
        share = self._settings.capture_share
        by_key = rows.keys is not None and self._settings.capture_by == "key"
        if not len(rows) or not (by_key or share >= 1 or sampled(request.batch_id.encode() or request.raw, share)):
            return
        size = _size_of(rows, scored)
        with self._lock:
            if taken := self._bytes + size <= self._settings.capture_buffer_bytes and not self._ending.is_set():
                self._bytes += size
                self._queue.append(_Taken(live, rows, scored, request.query_id, request.batch_id, request.at_ns, size))
                self._start()
            else:
                self._no_room += len(rows)
        if not taken:
            # If rows are sampled by key, the sample is not known yet: all rows count.
            self._counters.count_lost("no_room", len(rows))

    def step(self, everything: bool = False) -> None:
        """Sort queued batches into files and write those that are due, or ``everything``."""
        self._log_no_room()
        while self._queue:
            self._sort(self._queue.popleft())
        now = self._clock()
        for key, file in list(self._files.items()):
            if everything or file.rows >= self._settings.capture_file_rows or now >= file.due_at:
                del self._files[key]
                self._write(file)
        waiting, self._failed = self._failed, []
        for file in waiting:
            if everything or now >= file.due_at:
                self._write(file)
            else:
                self._failed.append(file)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write everything, for at most ``timeout_s`` seconds; the rest is lost. Blocks."""
        self._ending.set()
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        waiting = self._writing_rows + sum(len(taken.rows) for taken in list(self._queue))
        self._lose("ended", waiting + sum(file.rows for file in [*self._files.values(), *self._failed]))

    def _start(self) -> None:
        if self._thread is None:
            # A daemon thread: an S3 that does not answer must not keep the process alive.
            self._thread = threading.Thread(target=self._run, name="snowsage-capture", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(self._check_every_s):
            self._step_safely()
        self._step_safely(everything=True)

    def _step_safely(self, everything: bool = False) -> None:
        try:
            self.step(everything)
        except Exception as error:  # the thread must go on, or nothing would be captured from then on
            log.event(_logger, logging.ERROR, "capture failed", error=type(error).__name__)

    def _sort(self, taken: _Taken) -> None:
        held = 0
        try:
            for part in self._parts_of(taken):
                file = self._file_for(taken)
                file.parts.append(part)
                file.rows += len(part)
                held += part.size_bytes
        except Exception as error:
            self._lose("failed", len(taken.rows), error)
        self._free(taken.size_bytes - held)

    def _parts_of(self, taken: _Taken) -> list[Part]:
        """The sampled rows, if any; in an experiment by version."""
        rows, assignment = taken.rows, taken.scored.assignment
        at = np.arange(len(rows))
        if rows.keys is not None and self._settings.capture_by == "key":
            at = chosen_keys(rows.keys, self._settings.capture_share)
        if rows.faults:  # they were not scored
            at = np.setdiff1d(at, np.fromiter(rows.faults, np.intp))
        if assignment is None:
            parts = [self._part_of(taken, at, taken.live, taken.scored.variant)]
        else:
            named = bool(taken.scored.variant)
            parts = [
                self._part_of(taken, at[assignment.at[at] == position], arm, arm.variant if named else "")
                for position, arm in enumerate(taken.live.arms)
            ]
        return [part for part in parts if len(part)]

    def _part_of(self, taken: _Taken, at: Indexes, live: LiveVersion, variant: str) -> Part:
        rows = taken.rows
        whole = len(at) == len(rows)
        return Part(
            live=live,
            variant=variant,
            query_id=taken.query_id,
            batch_id=taken.batch_id,
            at_ns=taken.at_ns,
            numbers=at,
            keys=None if rows.keys is None else key_texts(rows.keys, at),
            matrix=rows.matrix if whole else rows.matrix[at],
            scores=taken.scored.scores if whole else taken.scored.scores[at],
        )

    def _file_for(self, taken: _Taken) -> _File:
        moment = datetime.fromtimestamp(taken.at_ns / 1e9, UTC)
        model, day = taken.live.model, f"{moment:%Y-%m-%d}"
        key = (model, taken.live.contract.fingerprint, day)
        if key not in self._files:
            self._named += 1
            name = f"{moment:%H%M%S}-{self._process}-{self._named:06}.parquet"
            uri = f"s3://{self._settings.bucket}/{model}/serve/capture/date={day}/{name}"
            self._files[key] = _File(uri, self._clock() + self._settings.capture_file_s)
        return self._files[key]

    def _write(self, file: _File) -> None:
        self._writing_rows = file.rows
        if self._try_to_write(file):
            self._free(file.size_bytes)
        else:
            file.due_at = self._clock() + 2 ** (file.failures - 1)
            self._failed.append(file)
        self._writing_rows = 0

    def _try_to_write(self, file: _File) -> bool:
        """Write the file. True if it is written or lost; False if it is to be tried again."""
        try:
            self._store.write(file.uri, to_parquet(file.parts))
        except SnowsageError as error:
            file.failures += 1
            if file.failures < ATTEMPTS:
                log.event(_logger, logging.WARNING, "captured rows wait", rows=file.rows, error=error)
                return False
            self._lose("write_failed", file.rows, error)
        except Exception as error:
            self._lose("failed", file.rows, error)
        else:
            self._counters.count_captured(file.rows)
        return True

    def _free(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes -= size_bytes

    def _log_no_room(self) -> None:
        with self._lock:
            rows, self._no_room = self._no_room, 0
        if rows:
            log.event(_logger, logging.WARNING, "captured rows are lost", rows=rows, reason="no_room")

    def _lose(self, reason: str, rows: int, error: Exception | None = None) -> None:
        if rows:
            self._counters.count_lost(reason, rows)
            # Of an unexpected error only the class is logged: its text may hold a value.
            shown = error if isinstance(error, SnowsageError) else type(error).__name__ if error else ""
            log.event(_logger, logging.WARNING, "captured rows are lost", rows=rows, reason=reason, error=shown)


def _size_of(rows: Rows, scored: Scored) -> int:
    keys = rows.keys
    if isinstance(keys, KeysInBody):
        of_keys = len(keys.body) + keys.spans.nbytes
    else:
        of_keys = _KEY_BYTES * len(keys or ())
    return rows.matrix.nbytes + scored.scores.nbytes + of_keys
