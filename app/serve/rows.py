"""What is between the two wire formats: rows decoded, and rows scored. Row ``i`` of one is row ``i`` of the other."""

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
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows. ``matrix``: float32 [rows, features] in the contract's order, NaN where NULL.

    ``keys``: the entity's key of each row, None where callers do not send it. ``faults``: for rows that cannot be scored, why,
    in words without values; what the matrix holds there means nothing. ``compiled``: whether they were read without a Python
    object a value: by the compiled reader, or as the array that they came as. ``explain``: whether the reply has a place for the
    reasons that the version's rules ask for.
    """

    matrix: Matrix
    keys: Sequence[Any] | None = None
    faults: Mapping[int, str] = field(default_factory=dict)
    compiled: bool = False
    explain: bool = True

    def __len__(self) -> int:
        return len(self.matrix)


@dataclass(frozen=True, slots=True)
class Arms:
    """Which of an experiment's ``shares`` scored each row. ``at`` [rows]: positions in ``shares``."""

    shares: tuple[Share, ...]
    at: Places

    def versions(self) -> list[str]:
        """The version of each row."""
        names = [share.version for share in self.shares]
        return [names[place] for place in self.at.tolist()]

    def counts(self) -> list[tuple[Share, int]]:
        """The versions that scored any row, in the experiment's order, and how many rows each did."""
        rows = np.bincount(self.at, minlength=len(self.shares)).tolist()
        return [(share, count) for share, count in zip(self.shares, rows, strict=True) if count]

    def label(self) -> str:
        """The one version that scored all rows; or all that scored any, each with its rows; empty where there are no rows."""
        counts = self.counts()
        if len(counts) == 1:
            return counts[0][0].version
        return ", ".join(f"{share.version};rows={rows}" for share, rows in counts)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores [rows], float32, and the variant of the endpoint that gave them, if it named one.

    ``reasons``: what led to each score, where the version's rules ask for it. ``arms``: in an experiment, who scored which row;
    ``variant`` is then that of one of them.
    """

    scores: Scores
    variant: str = ""
    reasons: Reasons | None = None
    arms: Arms | None = None

    def version(self, live: str) -> str:
        """The version that gave the scores, which is ``live`` but in an experiment: there as ``Arms.label`` has it."""
        return live if self.arms is None else self.arms.label() or live


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    body: bytes
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class KeysInBody(Sequence[Any]):
    """Keys that still stand in the request's body, read one by one when somebody asks; most requests' keys never are.

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
