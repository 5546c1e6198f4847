"""The serving rules of a live version: the pipeline's ``serving`` settings that the service applies.

They are part of the live record. A rule that a record lacks has its default.
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

    ``reasons``: the number of leading feature contributions in that object. ``on_bad_row``: a row that cannot be scored fails
    its batch, or is answered with NULL or with an object that says why. ``absent_is_null``: a key that an object lacks means
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
        """A value that JSON can hold; ``from_dict`` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> ServingRules:
        """The rules that ``to_dict`` wrote. Raises ValueError or TypeError for anything else."""
        labels = body.get("labels")
        rules = cls(**{**body, "labels": None if labels is None else tuple(labels)})
        chosen = ((rules.output, Output), (rules.on_bad_row, OnBadRow), (rules.payload, Payload))
        if any(value not in get_args(allowed) for value, allowed in chosen):
            raise ValueError("a serving rule has a value that this version does not know")
        fits = {
            "reasons": type(rules.reasons) is int and rules.reasons >= 0,
            "absent_is_null": type(rules.absent_is_null) is bool,
            "threshold": rules.threshold is None or type(rules.threshold) in (int, float),
            "labels": rules.labels is None or [type(label) for label in rules.labels] == [str, str],
        }
        if wrong := [name for name, holds in fits.items() if not holds]:
            raise TypeError(f"the serving rule {', '.join(wrong)} has another type")
        return rules
