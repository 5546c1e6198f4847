"""The result of the batch stage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BatchResult:
    """The result of the batch stage. ``inserted`` and ``updated``: rows of the prediction table that this run changed.

    ``unfit``: by what is wrong, rows without a score, such as those with a category that the model does not know.
    ``rule``: how their labels follow from the scores.
    """

    table: str
    version: str
    scored: int
    inserted: int
    updated: int
    unfit: dict[str, int] = field(default_factory=dict)
    rule: str = ""
