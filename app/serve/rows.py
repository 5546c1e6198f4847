"""The values between codecs and scorers: decoded rows, scored rows, the reply. Row ``i`` of one is row ``i`` of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.deploy.live import Share
from sagemaker_entry.model import Matrix, Reasons

Scores = npt.NDArray[np.float32]
Spans = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows. ``matrix``: float32 [rows, features] in the contract's order, NaN for NULL.

    ``keys``: the entity key of each row, None if the caller sent none. ``faults``: why a row cannot be scored, without values; its
    row of the matrix is meaningless. ``compiled``: read without a Python object for each value, by the compiled reader or as a raw
    tensor. ``explain``: whether the reply can hold the reasons that the version's rules ask for.
    """

    matrix: Matrix
    keys: Sequence[Any] | None = None
    faults: Mapping[int, str] = field(default_factory=dict)
    compiled: bool = False
    explain: bool = True

    def __len__(self) -> int:
        return len(self.matrix)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The version that scored each row in an experiment. ``at`` [rows]: positions in ``shares``."""

    shares: tuple[Share, ...]
    at: Positions

    def versions(self) -> list[str]:
        """The version of each row."""
        names = [share.version for share in self.shares]
        return [names[position] for position in self.at.tolist()]

    def counts(self) -> list[tuple[Share, int]]:
        """The versions that scored at least one row, in the experiment's order, each with its number of rows."""
        rows = np.bincount(self.at, minlength=len(self.shares)).tolist()
        return [(share, count) for share, count in zip(self.shares, rows, strict=True) if count]

    def label(self) -> str:
        """The version that scored all rows; or all versions, each with its rows; empty if there are no rows."""
        counts = self.counts()
        if len(counts) == 1:
            return counts[0][0].version
        return ", ".join(f"{share.version};rows={rows}" for share, rows in counts)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores [rows], float32, and the endpoint's variant that gave them, if it named one.

    ``reasons``: what led to each score, if the version's rules ask for it. ``assignment``: in an experiment, which version scored
    which row; ``variant`` is then that of one of them.
    """

    scores: Scores
    variant: str = ""
    reasons: Reasons | None = None
    assignment: Assignment | None = None

    def version(self, live: str) -> str:
        """The version that scored: ``live``, or in an experiment ``Assignment.label``."""
        return live if self.assignment is None else self.assignment.label() or live


@dataclass(frozen=True, slots=True)
class Reply:
    """An encoded reply."""

    body: bytes
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class KeysInBody(Sequence[Any]):
    """Entity keys that are still bytes of the request's body, parsed one by one on access; most requests never need them.

    Key ``i`` is the JSON in ``body`` from ``spans[i, 0]`` up to ``spans[i, 1]``.
    """

    def __init__(self, body: bytes, spans: Spans) -> None:
        self.body, self.spans = body, spans

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return KeysInBody(self.body, self.spans[index])
        begin, end = self.spans[index]
        return orjson.loads(self.body[begin:end])
