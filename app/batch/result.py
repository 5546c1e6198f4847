"""The result of the batch stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchResult:
    """The result of the batch stage. ``inserted`` and ``updated``: rows of the prediction table that this run changed."""

    table: str
    version: str
    scored: int
    inserted: int
    updated: int
