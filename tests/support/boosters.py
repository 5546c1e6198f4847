"""Boosters of all kinds, trained on random data in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from sagemaker_entry.contract import Column, Contract

CLASSES, LEVELS, FEATURES = 4, 40, 8


@dataclass(frozen=True)
class Trained:
    """``body``: as XGBoost saves it; ``matrix``: the rows that it was trained on."""

    booster: xgboost.Booster
    body: bytes
    contract: Contract
    matrix: np.ndarray


def train(
    objective: str = "binary:logistic",
    rows: int = 1000,
    rounds: int = 8,
    categories: int = 0,
    levels: int = LEVELS,
    missing: float = 0.05,
    seed: int = 0,
    early_stopping_rounds: int | None = None,
    **parameters: Any,
) -> Trained:
    """A booster. ``categories``: how many features are, of ``levels`` each; ``missing``: the share of values; ``parameters``:
    XGBoost's."""
    chance = np.random.default_rng(seed)
    matrix = chance.normal(size=(rows, FEATURES)).astype(np.float32)
    matrix[:, :categories] = chance.integers(0, levels, (rows, categories))
    strength = matrix[:, -1] + matrix[:, -2] * matrix[:, -3] + (matrix[:, 0] % 3 if categories else 0)
    strength = strength + chance.normal(size=rows) * 0.3
    matrix[chance.random(matrix.shape) < missing] = np.nan
    kinds = ["c"] * categories + ["q"] * (FEATURES - categories)
    data = xgboost.DMatrix(matrix, feature_types=kinds, enable_categorical=True, nthread=1)
    label(data, objective, strength)
    more = {"num_class": CLASSES} if objective.startswith("multi:") else {}
    more |= {"quantile_alpha": 0.5} if objective == "reg:quantileerror" else {}
    booster = xgboost.train(
        {"objective": objective, "nthread": 1, "seed": seed, **more, **parameters},
        data,
        rounds,
        evals=[(data, "train")] if early_stopping_rounds else None,
        early_stopping_rounds=early_stopping_rounds,
        verbose_eval=False,
    )
    columns = [
        Column(f"F{number}", "category", tuple(map(str, range(levels)))) if kind == "c" else Column(f"F{number}")
        for number, kind in enumerate(kinds)
    ]
    return Trained(booster, bytes(booster.save_raw("ubj")), Contract(tuple(columns), ("ID",), "Y"), matrix)


def label(data: xgboost.DMatrix, objective: str, strength: np.ndarray) -> None:
    """Set a label that the objective takes."""
    yes_or_no = (strength > 0).astype(float)
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", np.exp(strength))
        data.set_float_info("label_upper_bound", np.exp(strength) + 1)
    elif objective.startswith(("binary:", "rank:", "reg:logistic")):
        data.set_label(yes_or_no)
    elif objective.startswith("multi:"):
        data.set_label(np.digitize(strength, [-1, 0, 1]))
    else:
        data.set_label(np.exp(np.clip(strength, -3, 3)))
    if objective.startswith("rank:"):
        data.set_group([len(strength) - len(strength) // 2, len(strength) // 2])
