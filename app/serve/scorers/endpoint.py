"""Matrix -> scores, through a SageMaker endpoint: chunks as npy, one after the other, answers checked, order kept.

The one surprise: the endpoint may run another version than the service knows of. Its code refuses a matrix of another
contract, which surfaces here as ``Refused``, so that ``prediction`` can look again at what is live.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound, PermanentError, Unauthorized
from app.ports import Invoked, ScoringEndpoint
from app.serve.call import Call
from app.serve.deadline import Deadline
from app.serve.rows import Rows, Scored, Scores
from app.serve.scorers.attempts import Attempts
from sagemaker_entry.model import Matrix

#: Bytes of one request to an endpoint. SageMaker's documents disagree on the limit; the least that they name is 6 MiB.
MAX_CHUNK_BYTES = 5 * 1024 * 1024

_NPY_HEADER_BYTES = 256


class Refused(CallerError):
    """The endpoint's own code refused the matrix, or the version is not behind the endpoint any more."""


class EndpointScorer:
    """Scores through a port to SageMaker endpoints."""

    def __init__(self, endpoint: ScoringEndpoint, attempts: Attempts | None = None) -> None:
        self._endpoint, self._attempts = endpoint, attempts or Attempts()

    def prepare(self, live: LiveVersion) -> None:
        """Nothing: the endpoint holds the model."""

    def check(self, live: LiveVersion) -> None:
        """Raise TransientError while the endpoint is left alone, for it failed again and again."""
        self._attempts.peer(live.endpoint).breaker.check()

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:
        """Scores, finite, in the order of ``rows``. Blocks, at most until ``call.deadline``.

        What may pass is tried again, within the bounds of ``attempts``. Raises Refused where the endpoint's code says no,
        TransientError where it may pass, PermanentError where the endpoint is not there for us or its answer is not one
        score a row.
        """
        if not len(rows):
            return Scored(np.empty(0, dtype=np.float32))
        content_type = f"application/x-npy; contract={live.contract.fingerprint}"
        parts, variant = [], live.variant
        for chunk in chunks(rows.matrix):
            # Where no variant is named, the one that took the first chunk takes them all: no reply mixes versions.
            scores, variant = self._score_chunk(live, chunk, content_type, variant, call.deadline)
            parts.append(scores)
        return Scored(np.concatenate(parts), variant)

    def _score_chunk(
        self, live: LiveVersion, chunk: Matrix, content_type: str, variant: str, deadline: Deadline
    ) -> tuple[Scores, str]:
        body = _to_npy(chunk)

        def attempt(timeout_s: float) -> Invoked:
            return self._endpoint.invoke(live.endpoint, body, content_type, timeout_s=timeout_s, variant=variant)

        try:
            answer = self._attempts.call(live.endpoint, deadline, attempt)
        except (NotFound, Unauthorized) as error:
            if variant and isinstance(error, NotFound):
                raise Refused(f"version {live.version} of model {live.model} has left its endpoint: {error}") from error
            # About the service's own rights and records: the caller's model name and secret were good.
            raise PermanentError(f"the endpoint of model {live.model} cannot be used: {error}") from error
        except CallerError as error:
            raise Refused(f"the endpoint of model {live.model} refused the rows: {error}") from error
        return _checked(answer.body, len(chunk), live), answer.variant


def chunks(matrix: Matrix, max_bytes: int = MAX_CHUNK_BYTES) -> Iterator[Matrix]:
    """``matrix`` in slices of whole rows, each below ``max_bytes`` as npy (one row at least), in order."""
    rows = max(1, (max_bytes - _NPY_HEADER_BYTES) // (matrix.shape[1] * matrix.itemsize))
    return (matrix[start : start + rows] for start in range(0, len(matrix), rows))


def _to_npy(chunk: Matrix) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, chunk, allow_pickle=False)
    return buffer.getvalue()


def _checked(answer: bytes, rows: int, live: LiveVersion) -> Scores:
    try:
        scores: Scores = np.lib.format.read_array(io.BytesIO(answer), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _bad_answer(live, "not a numpy array") from error
    if scores.dtype != np.float32 or scores.shape != (rows,):
        raise _bad_answer(live, f"{scores.dtype}{list(scores.shape)} for {rows} rows, not one float32 for each")
    if not np.isfinite(scores).all():
        raise _bad_answer(live, "not finite in every row")
    return scores


def _bad_answer(live: LiveVersion, what: str) -> PermanentError:
    return PermanentError(f"the answer of the endpoint of model {live.model} is {what}; look at the endpoint's log")
