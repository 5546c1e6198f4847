"""Evaluates a model on rows that it has not seen, and compares it with single columns alone.

Also makes the baseline for monitoring: for each feature, bin edges frozen at training time and the share of training rows in
each bin. Bin ``b`` of a number holds the values above exactly ``b`` of the edges, so that SQL counts the same bins by ``IFF(x >
edge, 1, 0) + ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.dataset import Part
from sagemaker_entry.model import Matrix
from sagemaker_entry.objectives import METRICS, kind_of

Scorer = Callable[[Matrix], npt.NDArray[Any]]

#: Metrics that depend only on the order of scores.
RANKING = {"auc", "average_precision"}

#: Bins of a single column for the other metrics.
SINGLE_COLUMN_BINS = 32

#: Deciles: nine edges, ten bins, as is usual for a population stability index.
QUANTILES = np.arange(1, 10) / 10


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
        "r2": metrics.r2_score,
    }
    return float(functions[metric](label, scores.astype(np.float64)))


def mean_alone(objective: str, train: Part, test: Part) -> dict[str, float]:
    """Every metric of the objective's kind on the test rows for the training rows' mean label as each row's score."""
    mean = np.full(len(test), train.label.mean(dtype=np.float64))
    return {name: round(measure_one(name, test.label, mean), 6) for name in METRICS[kind_of(objective)]}


def single_columns(contract: Contract, objective: str, parts: Mapping[str, Part]) -> dict[str, list[dict[str, Any]]]:
    """By metric, that of each feature alone on the test rows; the best on the validation rows first.

    A category's score is the label's mean over the training rows of the same category. A number's is the label's mean over
    the training rows of the same quantile; or, for a metric that depends only on the order of scores, the number itself, with
    its direction from the training rows, if that is better on the validation rows. Those rows choose, since the training rows
    favour a column with many categories, whose means fit them by chance.
    """
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    found: dict[str, list[tuple[float, dict[str, Any]]]] = {metric: [] for metric in METRICS[kind_of(objective)]}
    for index, column in enumerate(contract.columns):
        scorers = {make: make(train.matrix[:, index], train.label) for make in _scorers(column)}
        scores = {
            make: (score(validation.matrix[:, index]), score(test.matrix[:, index])) for make, score in scorers.items()
        }
        for metric, more in METRICS[kind_of(objective)].items():
            usable = [pair for make, pair in scores.items() if make is not _ranking or metric in RANKING]
            known = [(1 if more else -1) * measure_one(metric, validation.label, pair[0]) for pair in usable]
            best = int(np.argmax(known))
            value = round(measure_one(metric, test.label, usable[best][1]), 6)
            found[metric].append((known[best], {"column": column.name, "metric": metric, "value": value}))
    return {
        metric: [item for _, item in sorted(measured, key=lambda pair: -pair[0])] for metric, measured in found.items()
    }


def _scorers(column: Column) -> list[Callable[[Matrix, Matrix], Scorer]]:
    return [_category_means] if column.dtype == "category" else [_ranking, _quantile_means]


def _ranking(values: Matrix, label: Matrix) -> Scorer:
    """The column, negated if greater values go with lower labels; a missing value ranks as the median."""
    fill = np.nanmedian(values)
    covariance = np.cov(np.where(np.isnan(values), fill, values).argsort(kind="stable").argsort(kind="stable"), label)
    sign = -1.0 if covariance[0, 1] < 0 else 1.0
    return lambda given: sign * np.where(np.isnan(given), fill, given)


def _category_means(codes: Matrix, label: Matrix) -> Scorer:
    """The label's mean in each category; missing values are a category of their own."""
    count = int(np.nanmax(codes, initial=0)) + 1

    def bins(given: Matrix) -> npt.NDArray[np.int64]:
        # The last bin holds categories that the training rows lack.
        return np.where(np.isnan(given), count, np.minimum(np.nan_to_num(given), count + 1)).astype(np.int64)

    return _means(bins, codes, label, count + 2)


def _quantile_means(values: Matrix, label: Matrix) -> Scorer:
    """The label's mean in each quantile of the column; missing values are a quantile of their own."""
    edges = np.unique(np.nanquantile(values, np.arange(1, SINGLE_COLUMN_BINS) / SINGLE_COLUMN_BINS))

    def bins(given: Matrix) -> npt.NDArray[np.int64]:
        return np.where(np.isnan(given), len(edges) + 1, np.searchsorted(edges, given))

    return _means(bins, values, label, len(edges) + 2)


def _means(bins: Callable[[Matrix], npt.NDArray[np.int64]], values: Matrix, label: Matrix, size: int) -> Scorer:
    """The label's mean in the bin of each value; that of all rows for a bin without training rows."""
    found = bins(values)
    count = np.bincount(found, minlength=size)
    total = np.bincount(found, weights=label, minlength=size)
    means = np.where(count > 0, total / np.maximum(count, 1), label.mean(dtype=np.float64))
    return lambda given: means[bins(given)]


#: Fewer rounds than this before early stopping mean that the model learned next to nothing.
FEW_ROUNDS = 5


def training_warnings(rounds: int, allowed: int, scores: Matrix) -> list[str]:
    """Signs of a degenerate training. ``rounds``: kept of those ``allowed``; ``scores``: on the test rows."""
    found = []
    if rounds < min(FEW_ROUNDS, allowed):
        found.append(
            f"training stopped after {rounds} of {allowed} rounds: the validation rows got no better, so the features hardly "
            "explain the label there; check the features and the label, or lower eta"
        )
    if len(scores) > 1 and np.ptp(scores) == 0:
        found.append(
            "every test row has the same score: the trees found nothing to split; check the features, or lower min_child_weight "
            "and gamma"
        )
    return found


#: What a single column reaches on the test rows only if it knows the label.
LEAKS = {"auc": 0.99, "r2": 0.99}


def leak_warnings(alone: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """A sentence for each column that predicts the label nearly perfectly by itself. ``alone``: of ``single_columns``."""
    return [
        f"{item['column']} alone reaches {metric} {item['value']:.4f} on the test rows: it may know the label; check that it is "
        "known at the as-of time, and is not filled in afterwards"
        for metric, bound in LEAKS.items()
        for item in alone.get(metric, ())
        if item["value"] >= bound
    ]


def baseline(contract: Contract, part: Part) -> dict[str, Any]:
    """Frozen bins of every feature over ``part``: edges or categories, the share of rows in each bin, the share of NULLs."""
    return {
        "fingerprint": contract.fingerprint,
        "rows": len(part),
        "features": [_bins(column, part.raw[column.name]) for column in contract.columns],
    }


def _bins(column: Column, values: npt.NDArray[Any]) -> dict[str, Any]:
    if column.dtype == "category":
        texts = frozenset(column.categories)
        counts = [int((values == name).sum()) for name in column.categories]
        null = np.array([value not in texts for value in values])  # with texts that count as NULL
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
