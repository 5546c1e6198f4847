"""Splitting input objects into records, batching records into requests, and assembling responses into output objects.

A record keeps its newline, also as the only record of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_MB = 1024 * 1024


class TooLarge(Exception):
    """A record, or an object that is not split, exceeds the payload limit."""


def split(body: bytes, split_type: str) -> list[bytes]:
    """The records: lines with their newlines, or the whole object."""
    return body.splitlines(keepends=True) if split_type == "Line" else [body]


def batches(records: Iterable[bytes], strategy: str, max_payload_mb: int) -> Iterator[list[bytes]]:
    """Batches of whole records: as many as the limit allows (MultiRecord) or one (SingleRecord). 0 MB means no limit."""
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
    """The responses in order. With Line, each ends in a newline, added where it is missing."""
    if assemble_with != "Line":
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)
