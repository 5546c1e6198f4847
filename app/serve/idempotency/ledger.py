"""The ledger of deferred batches on S3, where every replica sees them. Blocks; called in threads.

``s3://<bucket>/<model>/serve/deferred/<SHA-256 of the batch id and its caller>/`` holds ``request``, the ``lease/<number>`` objects
and, in the end, ``answer``. Each is created only if it does not exist, and never changed, which settles every race:

- Two replicas accept the same batch: one ``request`` is written, with one version, and both use it.
- A lease is taken, renewed and taken over in the same way: by creating the next number. One replica succeeds; the others know that
  a worker is active.
- A worker whose lease ended while it was working keeps working next to its successor. Scoring is deterministic and the version is
  the request's, so both produce the same bytes; the first ``answer`` stays, scores or failure, and all callers get that one.
- A difference between clocks only makes a lease shorter or longer: work is done twice, or taken over late.

Nothing is deleted here. The objects carry a tag, by which the bucket's lifecycle rule expires them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import CallerError, NotFound, PermanentError
from app.ports import ObjectStore
from app.serve.idempotency.records import (
    DeferredBatch,
    answer_from_bytes,
    answer_to_bytes,
    lease_from_bytes,
    lease_to_bytes,
)
from app.serve.response import HttpResponse
from app.serve.security.api_keys import GATEWAY

#: The tag that the lifecycle rule in ``infra/aws`` selects.
TAGS = {"snowsage-expires": "deferred"}


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A batch without a response yet. ``lease``: the newest lease's number, -1 if there is none; ``ends_at_s``: its end."""

    lease: int
    ends_at_s: float


class Ledger:
    """The deferred batches of all models in a bucket. ``prefix``: the URI of one batch's objects, with a slash at its end."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store, self._bucket = store, bucket

    def prefix(self, model: str, batch_id: str, caller: str = GATEWAY) -> str:
        """The URI prefix of a batch's objects. ``model`` must be the name of a known model; ``caller``: the credential's name.

        Each caller has names of its own, so the id of another's batch is unknown to it.
        """
        owned = batch_id if caller == GATEWAY else f"{caller}\n{batch_id}"  # no header holds a line feed
        name = hashlib.sha256(owned.encode("utf-8", "surrogatepass")).hexdigest()
        return f"s3://{self._bucket}/{model}/serve/deferred/{name}/"

    def accept(self, prefix: str, accepted: DeferredBatch) -> bool:
        """Write ``accepted``; False if a batch of this id is already there."""
        return self._create(f"{prefix}request", accepted.to_bytes())

    def accepted(self, prefix: str) -> DeferredBatch:
        """The accepted batch. Raises NotFound."""
        with _as_own_failure():
            return DeferredBatch.from_bytes(self._store.read(f"{prefix}request"))

    def find(self, prefix: str) -> HttpResponse | Unanswered | None:
        """The response, or the newest lease; None if no such batch was accepted."""
        answer = self.answer(prefix)
        if answer is not None:
            return answer
        with _as_own_failure():
            names = [item.uri.removeprefix(prefix) for item in self._store.list_below(prefix)]
        if "request" not in names:
            return None
        leases = [int(name.removeprefix("lease/")) for name in names if name.startswith("lease/")]
        if not leases:
            return Unanswered(-1, 0.0)
        lease = max(leases)
        with _as_own_failure():
            return Unanswered(lease, lease_from_bytes(self._store.read(_lease_uri(prefix, lease))))

    def answer(self, prefix: str) -> HttpResponse | None:
        """The response, None if there is none yet."""
        try:
            with _as_own_failure():
                return answer_from_bytes(self._store.read(f"{prefix}answer"))
        except NotFound:
            return None

    def take(self, prefix: str, lease: int, ends_at_s: float) -> bool:
        """Take the lease of this number; False if it is taken."""
        return self._create(_lease_uri(prefix, lease), lease_to_bytes(ends_at_s))

    def finish(self, prefix: str, answer: HttpResponse) -> HttpResponse:
        """Write ``answer``; returns the response that all callers get, which is another worker's if that was first."""
        if self._create(f"{prefix}answer", answer_to_bytes(answer)):
            return answer
        return self.answer(prefix) or answer

    def _create(self, uri: str, body: bytes) -> bool:
        with _as_own_failure():
            return self._store.create(uri, body, TAGS)


@contextmanager
def _as_own_failure() -> Iterator[None]:
    """Turn S3's refusals into the service's own failures: the caller's request was valid."""
    try:
        yield
    except NotFound:
        raise
    except CallerError as error:
        raise PermanentError(f"deferred batches cannot be kept on S3: {error}") from error


def _lease_uri(prefix: str, lease: int) -> str:
    return f"{prefix}lease/{lease:06d}"
