"""The schema of capture files: captured rows to one Parquet file.

Features are in a struct of their own, so that their names cannot collide with the other columns; NULL stays NULL. Categories
are the numbers that the model saw; the contract named in ``contract`` defines them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.deploy.live import LiveVersion
from app.serve.rows import Scores
from app.serve.telemetry.capture.sample import Indexes
from sagemaker_entry.model import Matrix

_WORDS_BYTES = 200  # approximate size of a part's texts


@dataclass(frozen=True, slots=True)
class Part:
    """The captured rows of one batch. ``numbers``: their row numbers in it; ``keys``: None if the caller sent none."""

    live: LiveVersion
    variant: str
    query_id: str
    batch_id: str
    at_ns: int
    numbers: Indexes
    keys: list[str | None] | None
    matrix: Matrix
    scores: Scores

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def size_bytes(self) -> int:
        """Approximate memory of the part."""
        keys = 0 if self.keys is None else sum(64 + len(key or "") for key in self.keys)
        return self.matrix.nbytes + self.scores.nbytes + self.numbers.nbytes + keys + _WORDS_BYTES


def to_parquet(parts: Sequence[Part]) -> bytes:
    """A Parquet file of ``parts``, in their order. All must have the same contract."""
    contract = parts[0].live.contract
    matrix = np.concatenate([part.matrix for part in parts])
    features = [pa.array(column, pa.float32(), from_pandas=True) for column in np.ascontiguousarray(matrix.T)]
    columns = {
        "time": _repeated(parts, pa.timestamp("us", "UTC"), lambda part: part.at_ns // 1000),
        "model": _repeated(parts, pa.string(), lambda part: part.live.model),
        "version": _repeated(parts, pa.string(), lambda part: part.live.version),
        "variant": _repeated(parts, pa.string(), lambda part: part.variant or None),
        "contract": _repeated(parts, pa.string(), lambda part: part.live.contract.fingerprint),
        "query_id": _repeated(parts, pa.string(), lambda part: part.query_id or None),
        "batch_id": _repeated(parts, pa.string(), lambda part: part.batch_id or None),
        "row": pa.array(np.concatenate([part.numbers for part in parts]), pa.int32()),
        "key": pa.array([key for part in parts for key in part.keys or [None] * len(part)], pa.string()),
        "score": pa.array(np.concatenate([part.scores for part in parts]), pa.float32()),
        "features": pa.StructArray.from_arrays(features, list(contract.names)),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return bytes(sink.getvalue())


def _repeated(parts: Sequence[Part], kind: pa.DataType, of: Callable[[Part], str | int | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(pa.scalar(of(part), kind), len(part)) for part in parts], kind)
