"""HTTP client of external functions: sends batches with retries and polling, as Snowflake does.

Several batches are in flight at once; each 429 response halves their number. Retries and polls carry the batch id of
the first request, by which a service recognizes a repeated batch; a retry sends identical bytes.
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
from localcloud.snowflake.failures import NULL_RESULT, failure
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.external_functions.http import response
from localcloud.snowflake.objects.external_functions.http.concurrency import ConcurrencyLimit
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
_MAX_PAUSE_S = 5.0
_REQUEST_TIMEOUT = urllib3.Timeout(connect=5.0, read=35.0)
_MAX_RECORDS = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True)
class CallRecord:
    """Record of one batch. ``status`` is the last HTTP status, or 0 if there was no reply."""

    query_id: str
    batch_id: str
    function: str
    rows: int
    status: int
    attempts: int
    milliseconds: float


class GivenUp(Exception):
    """The query has failed elsewhere or was cancelled; its answers are no longer needed."""


class ExternalCaller(State):
    """``concurrency`` is the maximum number of requests in flight over all queries."""

    def __init__(self, *, concurrency: int, limits: Limits) -> None:
        self.concurrency = concurrency
        self.limits = limits
        self.records: deque[CallRecord] = deque(maxlen=_MAX_RECORDS)
        self.faults = FaultPlan()
        self._http = urllib3.PoolManager(maxsize=concurrency, retries=False, timeout=_REQUEST_TIMEOUT)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="external-function")
        self._limit = ConcurrencyLimit(concurrency)
        self._closed = threading.Event()
        self._numbers = itertools.count()

    def submit(self, work: Callable[[list[str]], _T], rows: list[str]) -> Future[_T]:
        """Run ``work`` for a batch as soon as a thread is free."""
        return self._pool.submit(work, rows)

    def answers(self, call: Call, rows: list[str], given_up: Callable[[], bool]) -> pa.Array:
        """The function's value for each row of a batch. ``given_up`` returns whether the query has ended elsewhere."""
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
        """Send one request when the concurrency limit allows it. Every POST, retry and poll uses this method."""
        with self._limit:
            reply = external_functions.exchange(
                self.faults,
                url,
                lambda: self._http.request(
                    method, url, body=body, headers=headers, decode_content=False, redirect=False
                ),
            )
            (self._limit.decrease if reply.status == 429 else self._limit.increase)()
        return reply

    def pause(self, seconds: float) -> None:
        """Sleep, but not after the server has stopped."""
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
    """One batch: request, retries, polling and validation of the response."""

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
        reply = self._send_with_retries("POST", packed, headers, deadline)
        if reply.status == 202:
            reply = self._poll(headers)
        if reply.status != 200:
            raise self._service_error(_reply_text(reply))
        return self._checked(reply)

    def _send_with_retries(
        self, method: str, body: bytes | None, headers: dict[str, str], deadline: float
    ) -> urllib3.BaseHTTPResponse:
        """Send until there is a response other than 429 or 5xx, or until the deadline."""
        pause = _FIRST_PAUSE_S
        while True:
            outcome = self._attempt(method, body, headers)
            if outcome is not None and not (outcome.status == 429 or outcome.status >= 500):
                return outcome
            if self._given_up():
                raise GivenUp
            if self._caller.closed or time.monotonic() + pause > deadline:
                raise self._unreachable() if outcome is None else self._service_error(_reply_text(outcome))
            self._caller.pause(pause)
            pause = min(pause * 2, _MAX_PAUSE_S)

    def _attempt(self, method: str, body: bytes | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse | None:
        """The reply, or ``None`` if the connection failed."""
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
        """Send GET requests with the POST's headers until the batch is ready, with growing pauses."""
        deadline = time.monotonic() + self._caller.limits.call_deferred_s
        pause = _FIRST_PAUSE_S
        while True:
            self._caller.pause(pause)
            reply = self._send_with_retries("GET", None, headers, deadline)
            if reply.status != 202:
                return reply
            if self._given_up():
                raise GivenUp
            if self._caller.closed or time.monotonic() > deadline:
                raise self._service_error("202 'the asynchronous batch was not ready in time'")
            pause = min(pause * 2, _MAX_PAUSE_S)

    def _checked(self, reply: urllib3.BaseHTTPResponse) -> pa.Array:
        raw, body = reply.data, unpack(reply)
        digest = reply.headers.get("Content-MD5")
        # Snowflake does not document whether the digest is computed before or after compression, so both are accepted.
        if digest is not None and digest not in (_md5(raw), _md5(body)):
            raise self._invalid_response("the response does not match its Content-MD5")
        if len(body) > MAX_RESPONSE_BYTES:
            raise self._invalid_response("the response is larger than 10 MB")
        return self._values(body)

    def _values(self, body: bytes) -> pa.Array:
        definition = self._call.function.definition
        values = response.scalars(body, len(self._rows), definition.returns)
        if values is None:
            values = self._in_order(self._data(body))
        column = response.column(values, definition.returns, definition.name.name)
        if definition.not_null and column.null_count:
            raise failure(100_072, "22000", NULL_RESULT)
        return column

    def _data(self, body: bytes) -> list[Any]:
        try:
            document = response.parse(body, self._call.function.definition.returns)
        except ValueError as error:
            raise self._invalid_response("Error parsing JSON: Invalid response") from error
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, list):
            raise self._invalid_response('top-level JSON object must contain "data" JSON array element')
        if len(data) != len(self._rows):
            raise self._invalid_response(
                f"Function received the wrong number of rows: expected {len(self._rows)}, got {len(data)}"
            )
        return data

    def _in_order(self, data: list[Any]) -> list[Any]:
        """The second element of each row; the first elements must be 0, 1, 2, ..."""
        for number, row in enumerate(data):
            if not isinstance(row, list) or len(row) != 2:
                raise self._invalid_response(f"row {number} must be an array of the row number and one value")
            if row[0] != number or isinstance(row[0], bool):
                raise self._invalid_response(f"Row numbers out of order: expected {number}, got {str(row[0])[:20]}")
        return [row[1] for row in data]

    def _unreachable(self) -> ProgrammingError:
        name = self._call.function.path[2]
        return failure(
            100_350,
            "P0000",
            f"Request failed for external function {name}. Error: Remote service cannot be reached. "
            "Check the endpoint URL and try again.",
        )

    def _service_error(self, what: str) -> ProgrammingError:
        return failure(100_351, "P0000", self._error_text(f"remote service error: {what}"))

    def _invalid_response(self, what: str) -> ProgrammingError:
        return failure(100_335, "22P02", self._error_text(f"remote service error: 200 '{what}'"))

    def _error_text(self, what: str) -> str:
        return (
            f"Request failed for external function {self._call.function.path[2]} with {what}; "
            f"requests batch-id: {self.id}; request batch size: {len(self._rows)} rows; "
            f"request retries: {max(0, self.attempts - 1)}; response time (last retry): {self._reply_s * 1000:.2f}ms"
        )


def _reply_text(reply: urllib3.BaseHTTPResponse) -> str:
    return f"{reply.status} '{unpack(reply)[:1000].decode(errors='replace')}'"


def _md5(body: bytes) -> str:
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
