"""Evaluates a model on rows that it has not seen, and compares it with single columns alone.

Also makes the baseline for monitoring: for each feature, bin edges frozen at training time and the share of training rows in
each bin. Bin ``b`` of a number holds the values above exactly ``b`` of the edges, so that SQL counts the same bins by ``IFF(x >
edge, 1, 0) + ...``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.dataset import Part
from sagemaker_entry.model import Matrix

Scorer = Callable[[Matrix], npt.NDArray[Any]]

#: Metrics by kind of objective: name -> whether more is better.
METRICS = {
    "binary": {"auc": True, "average_precision": True, "logloss": False},
    "reg": {"rmse": False, "mae": False},
}

#: Metrics that depend only on the order of scores.
RANKING = {"auc", "average_precision"}

#: Bins of a single column for the other metrics.
SINGLE_COLUMN_BINS = 32

#: Deciles: nine edges, ten bins, as is usual for a population stability index.
QUANTILES = np.arange(1, 10) / 10


def kind_of(objective: str) -> str:
    """``binary`` or ``reg``, from an XGBoost objective such as ``binary:logistic``."""
    return objective.partition(":")[0]


def measure(objective: str, label: Matrix, scores: Matrix) -> dict[str, float]:
    """Every metric of the objective's kind for ``scores`` against ``label``, both [rows]."""
    return {name: round(measure_one(name, label, scores), 6) for name in METRICS[kind_of(objective)]}


def measure_one(metric: str, label: Matrix, scores: npt.NDArray[Any]) -> float:
    """One metric for ``scores`` against ``label``, both [rows]."""
    from sklearn import metrics

    functions = {
        "auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "logloss": lambda truth, score: metrics.log_loss(truth, score, labels=[0, 1]),
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
    }
    return float(functions[metric](label, scores.astype(np.float64)))


def single_columns(contract: Contract, objective: str, train: Part, test: Part, metric: str) -> list[dict[str, Any]]:
    """The metric of each feature alone on the test rows; the best on the training rows first.

    For a metric that depends only on the order of scores, the column itself is the score, with its direction from the training
    rows. For other metrics the score is the label's mean over the training rows of the same quantile of the column.
    """
    sign = 1 if METRICS[kind_of(objective)][metric] else -1
    found = []
    for index, name in enumerate(contract.names):
        score = (_ranking if metric in RANKING else _quantile_means)(train.matrix[:, index], train.label)
        known = measure_one(metric, train.label, score(train.matrix[:, index]))
        value = measure_one(metric, test.label, score(test.matrix[:, index]))
        found.append((sign * known, {"column": name, "metric": metric, "value": round(value, 6)}))
    return [item for _, item in sorted(found, key=lambda pair: -pair[0])]


def _ranking(values: Matrix, label: Matrix) -> Scorer:
    """The column, negated if greater values go with lower labels; a missing value ranks as the median."""
    fill = np.nanmedian(values)
    covariance = np.cov(np.where(np.isnan(values), fill, values).argsort(kind="stable").argsort(kind="stable"), label)
    sign = -1.0 if covariance[0, 1] < 0 else 1.0
    return lambda given: sign * np.where(np.isnan(given), fill, given)


def _quantile_means(values: Matrix, label: Matrix) -> Scorer:
    """The label's mean in each quantile of the column; missing values are a quantile of their own."""
    edges = np.unique(np.nanquantile(values, np.arange(1, SINGLE_COLUMN_BINS) / SINGLE_COLUMN_BINS))

    def bins(given: Matrix) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(given), len(edges) + 1, np.searchsorted(edges, given))

    found = bins(values)
    count = np.bincount(found, minlength=len(edges) + 2)
    total = np.bincount(found, weights=label, minlength=len(edges) + 2)
    means = np.where(count > 0, total / np.maximum(count, 1), label.mean())
    return lambda given: means[bins(given)]


def baseline(contract: Contract, part: Part) -> dict[str, Any]:
    """Frozen bins of every feature over ``part``: edges or categories, the share of rows in each bin, the share of NULLs."""
    return {
        "fingerprint": contract.fingerprint,
        "rows": len(part),
        "features": [_bins(column, part.raw[column.name]) for column in contract.columns],
    }


def _bins(column: Column, values: npt.NDArray[Any]) -> dict[str, Any]:
    if column.dtype == "category":
        null = np.array([value is None for value in values])
        counts = [int((values == name).sum()) for name in column.categories]
        edges: list[float] = []
    else:
        numbers = values.astype(np.float64)
        null = np.isnan(numbers)
        known = numbers[~null]
        # inverted_cdf picks values that occur; equal edges are merged, so a discrete column has fewer bins.
        found = np.quantile(known, QUANTILES, method="inverted_cdf") if len(known) else []
        edges = sorted({float(edge) for edge in found})
        counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1).tolist()
    return {
        "name": column.name,
        "edges": edges,
        "categories": list(column.categories),
        "shares": [count / len(values) for count in counts],
        "null_share": float(null.mean()),
    }
