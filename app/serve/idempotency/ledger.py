"""Deferred batches on S3, where every replica sees them. Blocks; called in threads.

Below ``s3://<bucket>/<model>/serve/deferred/<SHA-256 of the batch id>/`` lie ``request``, the ``lease/<number>`` objects and, in
the end, ``answer``. Each is created once, if nothing is there, and never changed, which settles every race:

- Two replicas accept the same batch: one ``request`` is written, with one version, and both go by it.
- A lease is taken, renewed and taken over alike: by creating the next number. Of several who try, one succeeds; who fails knows
  that somebody else is at work.
- A worker that was only thought dead works on beside the one that took over. Scoring is deterministic and the version is the
  request's, so both come to the same bytes; the first ``answer`` stays, be it scores or a failure, and all who ask get that one.
- Clocks that differ only make a lease look shorter or longer: work done twice, or taken over late.

The one surprise: nothing is ever deleted here. The objects carry a tag by which the bucket's lifecycle rule expires them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import CallerError, NotFound, PermanentError
from app.ports import ObjectStore
from app.serve.idempotency.records import Request, answer_from_bytes, answer_to_bytes, lease_from_bytes, lease_to_bytes
from app.serve.response import Answer

#: What the lifecycle rule of ``infra/aws`` looks for.
TAGS = {"snowsage-expires": "deferred"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A batch that has no answer yet. ``lease``: the newest one's number, -1 where nobody has begun; ``ends_at_s``: its end."""

    lease: int
    ends_at_s: float


class Ledger:
    """The deferred batches of all models in a bucket. A *place* is where one batch's objects lie, an address with a slash."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store, self._bucket = store, bucket

    def place(self, model: str, batch_id: str) -> str:
        """Where the batch of this id lies. ``model`` must be the name of a known model."""
        name = hashlib.sha256(batch_id.encode("utf-8", "surrogatepass")).hexdigest()
        return f"s3://{self._bucket}/{model}/serve/deferred/{name}/"

    def accept(self, place: str, request: Request) -> bool:
        """Write ``request`` down; False where one of this batch id is there already."""
        return self._create(f"{place}request", request.to_bytes())

    def request(self, place: str) -> Request:
        """What was accepted. Raises NotFound."""
        with _own_rights():
            return Request.from_bytes(self._store.read(f"{place}request"))

    def find(self, place: str) -> Answer | Standing | None:
        """The answer, or how far the work is; None where no such batch was accepted."""
        answer = self.answer(place)
        if answer is not None:
            return answer
        with _own_rights():
            names = [item.uri.removeprefix(place) for item in self._store.list_below(place)]
        if "request" not in names:
            return None
        leases = [int(name.removeprefix("lease/")) for name in names if name.startswith("lease/")]
        if not leases:
            return Standing(-1, 0.0)
        lease = max(leases)
        with _own_rights():
            return Standing(lease, lease_from_bytes(self._store.read(_lease_uri(place, lease))))

    def answer(self, place: str) -> Answer | None:
        """The answer, None where there is none yet."""
        try:
            with _own_rights():
                return answer_from_bytes(self._store.read(f"{place}answer"))
        except NotFound:
            return None

    def take(self, place: str, lease: int, ends_at_s: float) -> bool:
        """Take the lease of this number; False where somebody has it."""
        return self._create(_lease_uri(place, lease), lease_to_bytes(ends_at_s))

    def finish(self, place: str, answer: Answer) -> Answer:
        """Leave ``answer``; the one that all get, which is another worker's where that one was quicker."""
        if self._create(f"{place}answer", answer_to_bytes(answer)):
            return answer
        return self.answer(place) or answer

    def _create(self, uri: str, body: bytes) -> bool:
        with _own_rights():
            return self._store.create(uri, body, TAGS)


@contextmanager
def _own_rights() -> Iterator[None]:
    """What S3 refuses is the service's fault: the caller's request was good."""
    try:
        yield
    except NotFound:
        raise
    except CallerError as error:
        raise PermanentError(f"deferred batches cannot be kept on S3: {error}") from error


def _lease_uri(place: str, lease: int) -> str:
    return f"{place}lease/{lease:06d}"
