"""The result of the train stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedModel:
    """The result of the train stage."""

    job: str
    artifact_uri: str
    metrics: dict[str, float]
    billable_s: int | None
