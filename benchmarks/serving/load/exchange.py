"""A request as bytes, and the reading of its reply: built once for each server and batch, sent thousands of times.

Each request gets its own id, because a service that keeps replies by Snowflake's batch id would otherwise answer from its
cache.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import orjson

from benchmarks.serving.workload import Cell, Scores

#: Characters of the id that each request carries.
ID_CHARS = 24

BATCH_ID = "sf-external-function-query-batch-id"


@dataclass(frozen=True)
class Exchange:
    """``before`` + an id of 24 characters + ``after`` + ``body`` is one request; ``scores`` reads a reply's body."""

    port: int
    before: bytes
    after: bytes
    body: bytes
    scores: Callable[[bytes], Scores]


def post(
    port: int,
    path: str,
    body: bytes,
    scores: Callable[[bytes], Scores],
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    id_header: str = "x-request-id",
) -> Exchange:
    """A POST over a connection that stays open."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {"Accept": "*/*"}).items()),
        f"{id_header}: ",
    ]
    return Exchange(port, "\r\n".join(lines).encode(), b"\r\n\r\n", body, scores)


def snowflake(port: int, path: str, secret: str, rows: Sequence[Sequence[Cell]], packed: bool = False) -> Exchange:
    """A batch of an external function with Snowflake's headers; ``packed``: gzip at the level that fast senders use."""
    body = orjson.dumps({"data": [[number, *row] for number, row in enumerate(rows)]})
    signature = "(" + ", ".join(f"F{index} FLOAT" for index in range(len(rows[0]))) + ")"
    headers = {
        "Accept": "*/*",
        "User-Agent": "snowflake/1.0",
        "x-snowsage-secret": secret,
        "sf-external-function-format": "json",
        "sf-external-function-format-version": "1.0",
        "sf-external-function-current-query-id": "01b02bdf-0001-7b58-0003-27d60056b5a6",
        **_twins("sf-external-function-name", "PREDICT_BENCH"),
        **_twins("sf-external-function-signature", signature),
        **_twins("sf-external-function-return-type", "FLOAT"),
    }
    if packed:
        body = gzip(body)
        headers |= {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    return post(port, path, body, batch_scores, headers=headers, id_header=BATCH_ID)


def gzip(body: bytes) -> bytes:
    """``body`` as one gzip member, level 1."""
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()


def batch_scores(reply: bytes) -> Scores:
    """``{"data": [[0, score], ...]}``, packed or not. Raises ValueError if row numbers are not 0, 1, 2, ..."""
    rows = orjson.loads(zlib.decompress(reply, wbits=31) if reply.startswith(b"\x1f\x8b") else reply)["data"]
    if [row[0] for row in rows] != list(range(len(rows))):
        raise ValueError("the reply's rows are not numbered as the request's")
    return as_scores([row[1] for row in rows])


def as_scores(values: Sequence[float]) -> Scores:
    """Numbers of a reply as float32."""
    return np.array(values, dtype=np.float64).astype(np.float32)


def flat(rows: Sequence[Sequence[Cell]]) -> list[Cell]:
    """All cells, row after row."""
    return list(chain.from_iterable(rows))


def csv(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Lines without a header, a NULL as an empty cell."""
    return "\n".join(",".join("" if cell is None else repr(cell) for cell in row) for row in rows).encode()


def _twins(name: str, value: str) -> dict[str, str]:
    return {name: value, f"{name}-base64": base64.b64encode(value.encode()).decode()}
