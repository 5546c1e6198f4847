"""External functions on the wire: batches of rows as HTTP requests, as Snowflake sends them.

Several batches are in flight at once; status 429 halves their number. A retry and a poll carry the batch id of the first
request, and a retry its bytes, because a service recognises a repeated batch by the id.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import urllib3
from snowflake.connector.errors import ProgrammingError

from localcloud.faults import external_functions
from localcloud.faults.rules import FaultPlan
from localcloud.snowflake.failures import failure
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.external_functions.http import response
from localcloud.snowflake.objects.external_functions.http.concurrency import Gate
from localcloud.snowflake.objects.external_functions.http.request import (
    Call,
    body_of,
    encoding_of,
    headers_of,
    pack,
    unpack,
)
from localcloud.snowflake.sessions.state import State

MAX_RESPONSE_BYTES = 10_000_000
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_REQUEST_TIMEOUT = urllib3.Timeout(connect=5.0, read=35.0)
_KEPT_CALLS = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True)
class CallRecord:
    """One batch as it went. ``status``: the last HTTP status, 0 where no reply came."""

    query_id: str
    batch_id: str
    function: str
    rows: int
    status: int
    attempts: int
    milliseconds: float


class GivenUp(Exception):
    """The query has failed elsewhere or was cancelled; the answer is not needed."""


class ExternalCaller(State):
    """``concurrency``: requests in flight over all queries."""

    def __init__(self, *, concurrency: int, limits: Limits) -> None:
        self.concurrency = concurrency
        self.limits = limits
        self.records: deque[CallRecord] = deque(maxlen=_KEPT_CALLS)
        self.faults = FaultPlan()
        self._http = urllib3.PoolManager(maxsize=concurrency, retries=False, timeout=_REQUEST_TIMEOUT)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="external-function")
        self._gate = Gate(concurrency)
        self._closed = threading.Event()
        self._numbers = itertools.count()

    def submit(self, work: Callable[[list[str]], _T], rows: list[str]) -> Future[_T]:
        """Run ``work`` for a batch as soon as one of the concurrent places is free."""
        return self._pool.submit(work, rows)

    def answers(self, call: Call, rows: list[str], given_up: Callable[[], bool]) -> pa.Array:
        """The function's value for each row of one batch; ``given_up`` tells that the query has ended elsewhere."""
        if given_up():
            raise GivenUp
        batch = _Batch(self, call, rows, f"{call.query_id}:1:{next(self._numbers)}:0:0", given_up)
        started = time.monotonic()
        try:
            return batch.run(started + self.limits.call_retry_s)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            name = ".".join(call.function.path)
            self.records.append(
                CallRecord(call.query_id, batch.id, name, len(rows), batch.status, batch.attempts, milliseconds)
            )

    def send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """One request, as soon as the gate lets it through; every POST, retry and poll comes this way."""
        with self._gate:
            reply = external_functions.exchange(
                self.faults,
                url,
                lambda: self._http.request(
                    method, url, body=body, headers=headers, decode_content=False, redirect=False
                ),
            )
            (self._gate.narrow if reply.status == 429 else self._gate.widen)()
        return reply

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self._closed.wait(seconds)

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def stop_waiting(self) -> None:
        """End pauses and retries; batches that wait for one fail."""
        self._closed.set()

    def close(self) -> None:
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._http.clear()


class _Batch:
    """One batch: its request, its retries, its polling, its checked answer."""

    def __init__(
        self, caller: ExternalCaller, call: Call, rows: list[str], batch_id: str, given_up: Callable[[], bool]
    ) -> None:
        self._caller = caller
        self._call = call
        self._rows = rows
        self.id = batch_id
        self._given_up = given_up
        self._reply_s = 0.0
        self.status = 0
        self.attempts = 0

    def run(self, deadline: float) -> pa.Array:
        body = body_of(self._rows)
        encoding = encoding_of(self._call.function)
        headers = headers_of(self._call, self.id, encoding)
        packed = pack(body, encoding)
        reply = self._persist("POST", packed, headers, deadline)
        if reply.status == 202:
            reply = self._poll(headers)
        if reply.status != 200:
            raise self._refused(_told(reply))
        return self._checked(reply)

    def _persist(
        self, method: str, body: bytes | None, headers: dict[str, str], deadline: float
    ) -> urllib3.BaseHTTPResponse:
        """Send until an answer that is no 429, 5xx or broken connection, or until the time is over."""
        pause = _FIRST_PAUSE_S
        while True:
            outcome = self._attempt(method, body, headers)
            if outcome is not None and not (outcome.status == 429 or outcome.status >= 500):
                return outcome
            if self._given_up():
                raise GivenUp
            if self._caller.closed or time.monotonic() + pause > deadline:
                raise self._unreachable() if outcome is None else self._refused(_told(outcome))
            self._caller.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _attempt(self, method: str, body: bytes | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse | None:
        """The reply, or ``None`` where none came."""
        self.attempts += 1
        started = time.monotonic()
        try:
            reply = self._caller.send(method, self._call.function.definition.url, body, headers)
        except urllib3.exceptions.HTTPError:
            self.status = 0
            return None
        finally:
            self._reply_s = time.monotonic() - started
        self.status = reply.status
        return reply

    def _poll(self, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """GET with the headers of the POST until the batch is ready; the pauses grow."""
        deadline = time.monotonic() + self._caller.limits.call_deferred_s
        pause = _FIRST_PAUSE_S
        while True:
            self._caller.pause(pause)
            reply = self._persist("GET", None, headers, deadline)
            if reply.status != 202:
                return reply
            if self._given_up():
                raise GivenUp
            if self._caller.closed or time.monotonic() > deadline:
                raise self._refused("202 'the asynchronous batch was not ready in time'")
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _checked(self, reply: urllib3.BaseHTTPResponse) -> pa.Array:
        raw, body = reply.data, unpack(reply)
        digest = reply.headers.get("Content-MD5")
        # Snowflake does not say whether the digest is taken before or after compression, so either fits.
        if digest is not None and digest not in (_md5(raw), _md5(body)):
            raise self._invalid("the response does not match its Content-MD5")
        if len(body) > MAX_RESPONSE_BYTES:
            raise self._invalid("the response is larger than 10 MB")
        return self._values(body)

    def _values(self, body: bytes) -> pa.Array:
        definition = self._call.function.definition
        values = response.scalars(body, len(self._rows), definition.returns)
        if values is None:
            values = self._in_order(self._data(body))
        column = response.column(values, definition.returns, definition.name.name)
        if definition.not_null and column.null_count:
            raise failure(100_072, "22000", "NULL result in a non-nullable column")
        return column

    def _data(self, body: bytes) -> list[Any]:
        try:
            document = response.parse(body, self._call.function.definition.returns)
        except ValueError as error:
            raise self._invalid("Error parsing JSON: Invalid response") from error
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, list):
            raise self._invalid('top-level JSON object must contain "data" JSON array element')
        if len(data) != len(self._rows):
            raise self._invalid(
                f"Function received the wrong number of rows: expected {len(self._rows)}, got {len(data)}"
            )
        return data

    def _in_order(self, data: list[Any]) -> list[Any]:
        """The second element of each row; the first ones must be 0, 1, 2, ..."""
        for number, row in enumerate(data):
            if not isinstance(row, list) or len(row) != 2:
                raise self._invalid(f"row {number} must be an array of the row number and one value")
            if row[0] != number or isinstance(row[0], bool):
                raise self._invalid(f"Row numbers out of order: expected {number}, got {str(row[0])[:20]}")
        return [row[1] for row in data]

    def _unreachable(self) -> ProgrammingError:
        name = self._call.function.path[2]
        return failure(
            100_350,
            "P0000",
            f"Request failed for external function {name}. Error: Remote service cannot be reached. "
            "Check the endpoint URL and try again.",
        )

    def _refused(self, what: str) -> ProgrammingError:
        return failure(100_351, "P0000", self._described(f"remote service error: {what}"))

    def _invalid(self, what: str) -> ProgrammingError:
        return failure(100_335, "22P02", self._described(f"remote service error: 200 '{what}'"))

    def _described(self, what: str) -> str:
        return (
            f"Request failed for external function {self._call.function.path[2]} with {what}; "
            f"requests batch-id: {self.id}; request batch size: {len(self._rows)} rows; "
            f"request retries: {max(0, self.attempts - 1)}; response time (last retry): {self._reply_s * 1000:.2f}ms"
        )


def _told(reply: urllib3.BaseHTTPResponse) -> str:
    return f"{reply.status} '{unpack(reply)[:1000].decode(errors='replace')}'"


def _md5(body: bytes) -> str:
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
