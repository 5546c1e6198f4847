"""An input object of a transform job as request payloads, and its answers as one output object.

In: bytes, and the job's way to split and to batch. Out: batches of whole records, none above the payload limit. The surprise: a
record keeps its newline, also as the only one of its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_MB = 1024 * 1024


class TooLarge(Exception):
    """A record, or an object that is not split, is above the payload limit."""


def split(body: bytes, split_type: str) -> list[bytes]:
    """The records: lines with their newlines, or the whole object."""
    return body.splitlines(keepends=True) if split_type == "Line" else [body]


def batches(records: Iterable[bytes], strategy: str, max_payload_mb: int) -> Iterator[list[bytes]]:
    """MultiRecord: as many as the limit holds; SingleRecord: one each. 0 MB means no limit."""
    limit = max_payload_mb * _MB
    batch: list[bytes] = []
    size = 0
    for record in records:
        if limit and len(record) > limit:
            raise TooLarge(f"Too much data for max payload size: {len(record)} bytes in one record")
        if batch and (strategy == "SingleRecord" or (limit and size + len(record) > limit)):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def assemble(answers: Iterable[bytes], assemble_with: str) -> bytes:
    """One after the other; with Line each ends in a newline, which is added where it lacks."""
    if assemble_with != "Line":
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)
