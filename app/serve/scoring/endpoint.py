"""The endpoint scorer: scores through a SageMaker endpoint, in chunks below its size limit, several at a time; order kept.

Responses are checked: anything but one finite score a row is an error.

The endpoint may run another version than the service expects. Its code refuses a matrix of another contract, which becomes
``EndpointRefusal``, so that ``predictor`` reads the live record again. The built-in algorithm's container cannot refuse, because it
has no contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound, PermanentError, Unauthorized
from app.ports import Invocation, Invoked, ScoringEndpoint
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.rows import Rows, Scored, Scores
from app.serve.scoring import csv
from app.serve.scoring.retry_policy import RetryPolicy
from sagemaker_entry import npy
from sagemaker_entry.model import Matrix, Reasons

#: Bytes of one call to an endpoint. SageMaker's documents disagree on the limit; the smallest that they name is 6 MiB.
MAX_CHUNK_BYTES = 5 * 1024 * 1024


class EndpointRefusal(CallerError):
    """The endpoint's code refused the matrix, or the version is no longer behind the endpoint."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The result of a chunk. ``table``: float32 [rows, 1], or the score followed by the features and contributions of the
    reasons.
    """

    table: Matrix
    variant: str


class EndpointScorer:
    """Scores through the port to SageMaker endpoints. ``in_flight``: chunks of large requests that run at a time."""

    def __init__(self, endpoint: ScoringEndpoint, policy: RetryPolicy | None = None, in_flight: int = 4) -> None:
        self._endpoint, self._policy = endpoint, policy or RetryPolicy()
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix="snowsage-chunks")

    computes = False

    def prepare(self, live: LiveVersion) -> None:
        """Nothing to do: the endpoint holds the model."""

    def check(self, live: LiveVersion) -> None:
        """Raise TransientError while the endpoint's circuit breaker is open."""
        self._policy.endpoint(live.endpoint).breaker.check()

    def inline(self, live: LiveVersion) -> bool:  # noqa: ARG002  # every scorer's signature
        """Never: the call goes over the network."""
        return False

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:
        """Scores, finite, in the order of ``rows``. Blocks, at most until ``request.deadline``.

        Transient errors are retried by ``policy``. Raises EndpointRefusal if the endpoint's code refuses the rows, TransientError,
        and PermanentError if the service cannot use the endpoint or its response is not one score a row.
        """
        if not len(rows):
            return _scored(np.empty((0, 1 + 2 * _reasons(live)), dtype=np.float32), "")
        parts = list(chunks(rows.matrix, _row_bytes(live)))
        scored: list[_Part] = []
        if len(parts) == 1 or not live.variant:
            # If no variant is named, the variant of the first chunk scores all: no reply mixes versions.
            scored.append(self._score_chunk(live, parts[0], request.deadline, live.variant))
        if rest := parts[len(scored) :]:
            scored += self._score_in_parallel(live, rest, request.deadline, live.variant or scored[0].variant)
        table = scored[0].table if len(scored) == 1 else np.concatenate([part.table for part in scored])
        return _scored(table, scored[0].variant)

    def _score_in_parallel(
        self, live: LiveVersion, parts: list[Matrix], deadline: Deadline, variant: str
    ) -> list[_Part]:
        # With this thread's context, so that each chunk belongs to the request's trace.
        pending = [
            self._threads.submit(copy_context().run, self._score_chunk, live, part, deadline, variant) for part in parts
        ]
        try:
            return [each.result() for each in pending]
        finally:
            for each in pending:
                each.cancel()  # after a failure, chunks that have not started are not needed

    def _score_chunk(self, live: LiveVersion, chunk: Matrix, deadline: Deadline, variant: str) -> _Part:
        invocation = _invocation(live, chunk, variant)

        def attempt(timeout_s: float) -> Invoked:
            return self._endpoint.invoke(invocation, timeout_s)

        try:
            answer = self._policy.call(live.endpoint, deadline, attempt)
        except (NotFound, Unauthorized) as error:
            if variant and isinstance(error, NotFound):
                raise EndpointRefusal(
                    f"version {live.version} of model {live.model} is no longer behind its endpoint: {error}"
                ) from error
            # The fault is in the service's own rights and records, not in the request.
            raise PermanentError(f"the endpoint of model {live.model} cannot be used: {error}") from error
        except CallerError as error:
            raise EndpointRefusal(f"the endpoint of model {live.model} refused the rows: {error}") from error
        return _Part(_checked(answer.body, len(chunk), live), answer.variant)


def chunks(matrix: Matrix, row_bytes: int, max_bytes: int = MAX_CHUNK_BYTES) -> Iterator[Matrix]:
    """``matrix`` in slices of whole rows, each of at most ``max_bytes`` (one row at least), in order.

    ``row_bytes``: of one row in the request or the response, whichever is larger.
    """
    rows = max(1, (max_bytes - npy.MAX_HEADER_BYTES) // row_bytes)
    return (matrix[start : start + rows] for start in range(0, len(matrix), rows))


def _row_bytes(live: LiveVersion) -> int:
    width = len(live.contract.names)
    if live.rules.payload == "csv":
        return width * csv.MAX_VALUE_BYTES
    return 4 * max(width, 1 + 2 * _reasons(live))


def _reasons(live: LiveVersion) -> int:
    return min(live.rules.reasons, len(live.contract.names))


def _invocation(live: LiveVersion, chunk: Matrix, variant: str) -> Invocation:
    """The request for ``chunk``, in the form that the version's container reads."""
    if live.rules.payload == "csv":
        return Invocation(live.endpoint, csv.encode(chunk), csv.CONTENT_TYPE, variant, csv.ACCEPT)
    asked = f"; reasons={_reasons(live)}" if live.rules.reasons else ""
    content_type = f"{npy.CONTENT_TYPE}; contract={live.contract.fingerprint}{asked}"
    return Invocation(live.endpoint, npy.encode(chunk), content_type, variant, npy.CONTENT_TYPE)


def _checked(answer: bytes, rows: int, live: LiveVersion) -> Matrix:
    """The response as a table [rows, 1 + 2 * reasons]."""
    scores = _read(answer, live)
    columns = 1 + 2 * _reasons(live)
    if columns > 1 and scores.shape == (rows,):
        raise EndpointRefusal(
            f"the endpoint of model {live.model} gives no reasons: its code is older than they are; train and deploy the "
            "model again, or take serving.reasons out of the pipeline and deploy it"
        )
    if scores.dtype != np.float32 or scores.shape != ((rows, columns) if columns > 1 else (rows,)):
        raise _bad_answer(live, f"{scores.dtype}{list(scores.shape)} for {rows} rows, not one float32 for each")
    if not np.isfinite(scores).all():
        raise _bad_answer(live, "not finite in every row")
    return scores.reshape(rows, columns)


def _read(answer: bytes, live: LiveVersion) -> Scores:
    if live.rules.payload == "csv":
        try:
            return csv.decode(answer)
        except ValueError as error:
            raise _bad_answer(live, "neither JSON nor CSV of one score a row") from error
    try:
        return npy.decode(answer)
    except ValueError as error:
        raise _bad_answer(live, "not a numpy array of numbers") from error


def _scored(table: Matrix, variant: str) -> Scored:
    scores, count = np.ascontiguousarray(table[:, 0]), table.shape[1] // 2
    if not count:
        return Scored(scores, variant)
    reasons = Reasons(table[:, 1 : 1 + count].astype(np.intp), table[:, 1 + count :])
    return Scored(scores, variant, reasons)


def _bad_answer(live: LiveVersion, what: str) -> PermanentError:
    return PermanentError(f"the answer of the endpoint of model {live.model} is {what}; look at the endpoint's log")
