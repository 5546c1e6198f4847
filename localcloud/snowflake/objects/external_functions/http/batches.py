"""Batching of one query's calls of one external function.

Several DuckDB threads add rows as JSON text, at most 2,048 at a time, and get a ticket for each row, with which they
take the answers later. A batch is sent when it is full or when an answer in it is requested, so batches are full if
answers are requested late.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.external_functions.http.client import ExternalCaller, GivenUp
from localcloud.snowflake.objects.external_functions.http.request import BATCH_ROWS, Call
from localcloud.snowflake.objects.external_functions.http.response import arrow_type

# Well below the 10 MB limit of API Gateway.
_BATCH_BYTES = 4_000_000
_KNOWN_ROWS = 100_000
_POLL_S = 0.05

Kept = Callable[[], pa.Array]


class Outbox:
    """``given_up`` returns whether the query has failed elsewhere or was cancelled; ``fail`` fails the query."""

    def __init__(
        self,
        caller: ExternalCaller,
        call: Call,
        given_up: Callable[[], bool],
        fail: Callable[[ProgrammingError], None],
    ) -> None:
        definition = call.function.definition
        self._caller = caller
        self._call = call
        self._given_up = given_up
        self._fail = fail
        self._max_rows = min(BATCH_ROWS, definition.max_batch_rows or BATCH_ROWS)
        self._immutable = definition.immutable
        self._known: dict[str, int] = {}
        self._open: list[str] = []
        self._open_bytes = 0
        self._count = 0
        self._starts: list[int] = []
        self._batches: list[Future[Kept]] = []
        self._lock = threading.Lock()
        self._room = threading.Semaphore(2 * caller.concurrency)
        self._answers = _AnswerStore(caller.limits.answers_bytes)

    def add(self, rows: pa.Array) -> pa.Array:
        """A ticket for each row; NULL for a row that must not be sent."""
        if self._given_up():
            raise GivenUp
        texts = rows.to_pylist()
        with self._lock:
            if self._immutable or rows.null_count:
                tickets = pa.array([None if text is None else self._number(text) for text in texts], pa.int64())
            else:
                tickets = pa.array(np.arange(self._count, self._count + len(texts)))
                self._append(texts)
            self._cut()
        return tickets

    def _number(self, text: str) -> int:
        if self._immutable and text in self._known:
            return self._known[text]
        number = self._count
        if self._immutable and len(self._known) < _KNOWN_ROWS:
            self._known[text] = number
        self._append([text])
        return number

    def _append(self, texts: list[str]) -> None:
        self._open += texts
        self._open_bytes += sum(map(len, texts))
        self._count += len(texts)

    def _cut(self, *, everything: bool = False) -> None:
        """Send full batches, or with ``everything`` also the last partial one. The caller holds the lock."""
        while self._open:
            fitting = _BATCH_BYTES * len(self._open) // max(1, self._open_bytes)
            size = min(self._max_rows, max(1, fitting))
            if len(self._open) < size and not everything:
                return
            part, self._open = self._open[:size], self._open[size:]
            self._starts.append(self._count - len(part) - len(self._open))
            self._open_bytes = sum(map(len, self._open))
            while not self._room.acquire(timeout=_POLL_S):
                if self._given_up():
                    raise GivenUp
            self._batches.append(self._caller.submit(self._send, part))

    def _send(self, part: list[str]) -> Kept:
        try:
            return self._answers.keep(self._caller.answers(self._call, part, self._given_up))
        except ProgrammingError as error:
            self._fail(error)
            raise
        finally:
            self._room.release()

    def take(self, tickets: pa.Array) -> pa.Array:
        """Wait for the answers of these tickets; NULL for NULL."""
        empty = tickets.is_null().to_numpy(zero_copy_only=False)
        numbers = tickets.fill_null(0).to_numpy(zero_copy_only=False)
        if empty.all():
            return pa.nulls(len(tickets), arrow_type(self._call.function.definition.returns))
        with self._lock:
            if self._open and numbers.max() >= self._count - len(self._open):
                self._cut(everything=True)
            starts = np.array(self._starts)
        which = np.searchsorted(starts, numbers, side="right") - 1
        needed, inverse = np.unique(which[~empty], return_inverse=True)
        parts = [self._wait(self._batches[index])() for index in needed.tolist()]
        offsets = np.cumsum([0, *map(len, parts)])[:-1]
        at = np.zeros(len(numbers), np.int64)
        at[~empty] = numbers[~empty] - starts[needed][inverse] + offsets[inverse]
        return pc.take(pa.concat_arrays(parts), pa.array(at, mask=empty))

    def _wait(self, batch: Future[Kept]) -> Kept:
        while True:
            try:
                return batch.result(timeout=_POLL_S)
            except NotYet:
                if self._given_up():
                    raise GivenUp from None

    def close(self) -> None:
        """Discard the answers and cancel batches that have not started."""
        for batch in self._batches:
            batch.cancel()
        self._answers.close()


class _AnswerStore:
    """Stores answers in memory, and beyond ``memory_bytes`` in an unlinked temporary file."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._end = 0
        self._file: int | None = None
        self._closed = False

    def keep(self, array: pa.Array) -> Kept:
        with self._lock:
            self._bytes += array.nbytes
            if self._bytes <= self._memory_bytes or self._closed:
                return lambda: array
            return self._write(array)

    def _write(self, array: pa.Array) -> Kept:
        if self._file is None:
            self._file, path = tempfile.mkstemp(prefix="localcloud-answers-")
            Path(path).unlink()
        batch = pa.record_batch([array], names=["answer"])
        data = batch.serialize()
        file, at, size = self._file, self._end, data.size
        os.pwrite(file, data, at)
        self._end += size
        return lambda: pa.ipc.read_record_batch(pa.py_buffer(os.pread(file, size, at)), batch.schema).column(0)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                os.close(self._file)
                self._file = None
