"""The records of a deferred batch: the accepted request, the leases of the workers, the response.

A record is one line of JSON followed by raw bytes. Only the headers that decoding needs are kept: no credentials and no user names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.deploy.live import LiveVersion
from app.errors import PermanentError
from app.serve.idempotency.response_cache import BatchKey
from app.serve.request import PredictionRequest
from app.serve.response import HttpResponse
from app.serve.security.api_keys import GATEWAY

_NEEDED = ("content-encoding", "content-type", "sf-custom-", "sf-external-function-")


@dataclass(frozen=True)
class DeferredBatch:
    """An accepted batch. ``live``: the version that will answer it; ``ends_at_s``: when it fails, in seconds since 1970."""

    batch: BatchKey
    model: str
    live: LiveVersion
    ends_at_s: float
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, request: PredictionRequest, batch: BatchKey, live: LiveVersion, ends_at_s: float) -> DeferredBatch:
        """The record of ``request``, to be answered by ``live``."""
        headers = {name: value for name, value in request.headers.items() if name.startswith(_NEEDED)}
        return cls(batch, request.model, live, ends_at_s, headers, request.raw)

    def to_bytes(self) -> bytes:
        """The record; ``from_bytes`` of it is equal to this value."""
        fields = {
            "path": self.batch.path,
            "batch_id": self.batch.id,
            "digest": self.batch.digest.hex(),
            "caller": self.batch.caller,
            "model": self.model,
            "live": self.live.to_json().decode(),
            "ends_at_s": self.ends_at_s,
            "headers": dict(self.headers),
        }
        return orjson.dumps(fields) + b"\n" + self.body

    @classmethod
    def from_bytes(cls, record: bytes) -> DeferredBatch:
        """The batch of a record. Raises PermanentError if it is damaged: only the service writes it."""
        fields, body = _split(record)
        try:
            digest = bytes.fromhex(fields["digest"])
            batch = BatchKey(fields["path"], fields["batch_id"], digest, fields.get("caller", GATEWAY))
            live = LiveVersion.from_json(fields["live"].encode())
            return cls(batch, fields["model"], live, fields["ends_at_s"], fields["headers"], body)
        except (KeyError, ValueError, TypeError) as error:
            raise _damaged() from error


def answer_to_bytes(answer: HttpResponse) -> bytes:
    """The record of ``answer``."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    return orjson.dumps({"status": answer.status, "headers": headers}) + b"\n" + answer.body


def answer_from_bytes(record: bytes) -> HttpResponse:
    """The response of a record, byte for byte. Raises PermanentError if it is damaged."""
    fields, body = _split(record)
    try:
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields["headers"])
        return HttpResponse(fields["status"], headers, body)
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged() from error


def lease_to_bytes(ends_at_s: float) -> bytes:
    """The record of a lease that ends at ``ends_at_s``, in seconds since 1970."""
    return orjson.dumps({"ends_at_s": ends_at_s})


def lease_from_bytes(record: bytes) -> float:
    """When a lease ends. Raises PermanentError if its record is damaged."""
    try:
        return float(orjson.loads(record)["ends_at_s"])
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged() from error


def _split(record: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, rest = record.partition(b"\n")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _damaged() from error
    if not isinstance(fields, dict):
        raise _damaged()
    return fields, rest


def _damaged() -> PermanentError:
    return PermanentError("the record of a deferred batch is damaged; run the query again")
