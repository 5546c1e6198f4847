"""How a tuning job chooses the next hyperparameters: at random, by grid, or by a model of what it has seen.

In: what was tried, with its loss (lower is better). Out: what to try next. The surprise: Random and Grid look at no
result, so the same seed gives the same jobs; Bayesian gives them only while the results come in the same order.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from localcloud.aws.sagemaker.tuning.parameter_ranges import Space

_FIRST = 5
_LEAST_TO_MODEL = 2
_CANDIDATES = 512
_NEIGHBOURS = 128
_NEIGHBOURHOOD = 0.1
_LEAST_SPREAD = 1e-9
# Of the normalised losses: the same hyperparameters need not give the same metric twice.
_NOISE = 1e-3


@dataclass(frozen=True)
class Trial:
    """Hyperparameters and the loss they led to."""

    values: dict[str, str]
    loss: float


class Search(Protocol):
    """A strategy."""

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        """What to try next, given finished trials and running ones; None if there is nothing left to try."""


class RandomSearch:
    """Uniformly from the scaled ranges."""

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._chance = np.random.default_rng(seed)

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:  # noqa: ARG002
        return self._space.at(self._chance.random(len(self._space.ranges)).tolist())


class GridSearch:
    """Every combination once."""

    def __init__(self, space: Space) -> None:
        self._left = space.grid()

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:  # noqa: ARG002
        return next(self._left, None)


class BayesianSearch:
    """A Gaussian process over the finished trials, and the point where the improvement to be expected is greatest.

    Running trials count as if they had given what the process expects of them, so that jobs side by side differ.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._chance = np.random.default_rng(seed)
        self._first = self._spread()

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        # Comes with scikit-learn. On matrices this small, threads cost a machine that trains at the same time far more
        # than they gain.
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs

        with threadpool_limits(1):
            return self._next(seen, running)

    def _next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        tried = [trial.values for trial in seen] + list(running)
        while self._first and len(seen) < _FIRST:
            values = self._space.at(self._first.pop())
            if values not in tried:
                return values
        if len(seen) < _LEAST_TO_MODEL:
            return self._space.at(self._chance.random(len(self._space.ranges)).tolist())
        candidates = self._candidates(min(seen, key=lambda trial: trial.loss), tried)
        if not candidates:
            return None
        points = np.array([self._space.features(trial.values) for trial in seen])
        losses = np.array([trial.loss for trial in seen])
        model = self._fitted(points, losses)
        if running:
            # The trials under way, with the loss to be expected of them; the kernel stays as it was learnt.
            pending = np.array([self._space.features(values) for values in running])
            points, losses = np.vstack([points, pending]), np.concatenate([losses, model.predict(pending)])
            model = self._fitted(points, losses, model.kernel_)
        mean, deviation = model.predict(np.array([self._space.features(c) for c in candidates]), return_std=True)
        return candidates[int(np.argmax(_expected_improvement(mean, deviation, losses.min())))]

    def _spread(self) -> list[list[float]]:
        """The points to begin with: at random, but each in another part of every range (a Latin hypercube)."""
        shape = (_FIRST, len(self._space.ranges))
        strata = self._chance.permuted(np.tile(np.arange(_FIRST), (shape[1], 1)), axis=1).T
        points: list[list[float]] = ((strata + self._chance.random(shape)) / _FIRST).tolist()
        return points

    def _candidates(self, best: Trial, tried: list[dict[str, str]]) -> list[dict[str, str]]:
        """Points from everywhere and from around the best one, without those already tried."""
        dimensions = len(self._space.ranges)
        centre = self._space.units(best.values)
        near = np.clip(self._chance.normal(centre, _NEIGHBOURHOOD, (_NEIGHBOURS, dimensions)), 0, np.nextafter(1, 0))
        units = np.vstack([self._chance.random((_CANDIDATES, dimensions)), near])
        found = {tuple(values.values()): values for values in map(self._space.at, units)}
        return [values for values in found.values() if values not in tried]

    def _fitted(self, points: Any, losses: Any, kernel: Any = None) -> Any:
        # Takes a second to import, and only this strategy needs it.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        # A length of its own for every number, or an unimportant hyperparameter hides an important one.
        lengths = np.full(points.shape[1], 0.5)
        process = GaussianProcessRegressor(
            kernel or ConstantKernel(1.0, (0.1, 100.0)) * Matern(lengths, (0.1, 10.0), nu=2.5),
            alpha=_NOISE,
            optimizer=None if kernel else "fmin_l_bfgs_b",
            normalize_y=True,
            random_state=0,
        )
        with warnings.catch_warnings():
            # A few points leave the kernel's bounds undecided, which is no news here.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return process.fit(points, losses)


def _expected_improvement(mean: Any, deviation: Any, best: float) -> Any:
    spread = np.maximum(deviation, _LEAST_SPREAD)
    gain = best - mean
    score = gain / spread
    density = np.exp(-(score**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in score])
    return gain * below + spread * density
