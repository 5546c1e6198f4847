"""The objectives that a job trains: the labels that they learn, and the metrics that measure them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Metrics by kind of objective: name -> whether more is better.
METRICS = {
    "binary": {"auc": True, "average_precision": True, "logloss": False},
    "reg": {"rmse": False, "mae": False, "r2": True},
}

#: The metric of early stopping by kind of objective, also in XGBoost's name. It does not follow the gate's: a new gate then
#: judges the same model.
WATCHED = {"binary": "auc", "reg": "rmse"}

OBJECTIVES = (
    "binary:logistic",
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:gamma",
    "reg:tweedie",
)

#: Objectives of XGBoost that this job does not train, and why or what to write instead.
OTHER_OBJECTIVES = {
    "binary:logitraw": "gives no probabilities, which the report needs; write binary:logistic",
    "binary:hinge": "gives no probabilities, which the report needs; write binary:logistic",
    "reg:linear": "is the old name of reg:squarederror; write that",
}


@dataclass(frozen=True)
class Bounds:
    """An interval. ``open_``: the ends that do not belong to it: ``(`` the lower, ``)`` the upper one."""

    least: float = -math.inf
    most: float = math.inf
    open_: str = ""

    def hold(self, value: float) -> bool:
        """Whether ``value`` lies within."""
        above = value > self.least if "(" in self.open_ else value >= self.least
        return above and (value < self.most if ")" in self.open_ else value <= self.most)

    def __str__(self) -> str:
        lower = f"{'greater than' if '(' in self.open_ else 'at least'} {_shown(self.least)}"
        upper = f"{'less than' if ')' in self.open_ else 'at most'} {_shown(self.most)}"
        return " and ".join(text for text in (lower, upper) if "inf" not in text)


def _shown(number: float) -> str:
    return f"{number:g}" if abs(number) < 1e6 or math.isinf(number) else f"{number:.0f}"


#: The labels that an objective can learn; the others learn any number.
LABELS = {
    "binary:logistic": Bounds(0, 1),
    "reg:logistic": Bounds(0, 1),
    "reg:gamma": Bounds(0, open_="("),
    "reg:tweedie": Bounds(0),
    "reg:squaredlogerror": Bounds(-1, open_="("),
}


def kind_of(objective: str) -> str:
    """``binary`` or ``reg``, from an XGBoost objective such as ``binary:logistic``."""
    return objective.partition(":")[0]


def watched_metric(hyperparameters: Mapping[str, Any]) -> str:
    """The metric of early stopping, in XGBoost's name: ``eval_metric``, or else the usual one of the objective's kind."""
    return str(hyperparameters.get("eval_metric") or WATCHED[kind_of(str(hyperparameters["objective"]))])
