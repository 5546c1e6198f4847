"""How a live version answers, beyond its scores: the pipeline's ``serving`` choices that the service itself carries out.

They travel in the record of what is live. A record without them, or without one of them, means the defaults: what the service
did before there was a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Output = Literal["number", "variant"]
OnBadRow = Literal["fail", "null", "error"]
Payload = Literal["npy", "csv"]


@dataclass(frozen=True)
class ServingRules:
    """``output``: a row's answer is its score, or an object with score, label and version.

    ``reasons``: how many leading feature contributions that object holds. ``on_bad_row``: a row that cannot be scored fails its
    batch, or is answered alone with NULL or with an object that says why. ``absent_is_null``: a key that an object lacks means
    NULL. ``payload``: what the endpoint takes; csv for the container of SageMaker's built-in algorithm. ``threshold`` and
    ``labels``: scores from ``threshold`` on have the second label, others the first.
    """

    output: Output = "number"
    reasons: int = 0
    on_bad_row: OnBadRow = "fail"
    absent_is_null: bool = False
    payload: Payload = "npy"
    threshold: float | None = None
    labels: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold; ``from_dict`` of it is equal to this one."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> ServingRules:
        """The rules written by ``to_dict``. ValueError or TypeError where they are none."""
        labels = body.get("labels")
        rules = cls(**{**body, "labels": None if labels is None else tuple(labels)})
        chosen = ((rules.output, Output), (rules.on_bad_row, OnBadRow), (rules.payload, Payload))
        if any(value not in get_args(allowed) for value, allowed in chosen):
            raise ValueError("a serving rule has a value that this version does not know")
        return rules
