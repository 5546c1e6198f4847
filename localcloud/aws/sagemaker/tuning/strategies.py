"""Search strategies of a tuning job: random, grid, and Bayesian.

Random and Grid do not depend on results, so a seed determines their jobs. Bayesian repeats them only if the results arrive in the
same order.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from localcloud.aws.sagemaker.tuning.parameter_ranges import Space

_INITIAL_POINTS = 5
_MIN_TRIALS = 2
_CANDIDATES = 512
_NEIGHBOURS = 128
_NEIGHBOUR_DEVIATION = 0.1
_MIN_DEVIATION = 1e-9
# Variance of the normalized losses: the same hyperparameters may give different metrics.
_NOISE = 1e-3


@dataclass(frozen=True)
class Trial:
    """Hyperparameters with their loss; lower is better."""

    values: dict[str, str]
    loss: float


class SearchStrategy(Protocol):
    """Chooses the hyperparameters of the next training job."""

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        """The next hyperparameters, given finished and running trials; None if the search is exhausted."""


class RandomSearch:
    """Draws uniformly from the scaled ranges."""

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:  # noqa: ARG002
        return self._space.at(self._random.random(len(self._space.ranges)).tolist())


class GridSearch:
    """Tries every combination once."""

    def __init__(self, space: Space) -> None:
        self._combinations = space.grid()

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:  # noqa: ARG002
        return next(self._combinations, None)


class BayesianSearch:
    """Maximizes the expected improvement under a Gaussian process fitted to the finished trials.

    Running trials count with the loss that the process predicts for them, so that parallel jobs differ.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)
        self._initial = self._initial_points()

    def next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        # A dependency of scikit-learn. On matrices this small, threads gain nothing and take cores from training jobs.
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs

        with threadpool_limits(1):
            return self._next(seen, running)

    def _next(self, seen: Sequence[Trial], running: Sequence[dict[str, str]]) -> dict[str, str] | None:
        tried = [trial.values for trial in seen] + list(running)
        while self._initial and len(seen) < _INITIAL_POINTS:
            values = self._space.at(self._initial.pop())
            if values not in tried:
                return values
        if len(seen) < _MIN_TRIALS:
            return self._space.at(self._random.random(len(self._space.ranges)).tolist())
        candidates = self._candidates(min(seen, key=lambda trial: trial.loss), tried)
        if not candidates:
            return None
        points = np.array([self._space.features(trial.values) for trial in seen])
        losses = np.array([trial.loss for trial in seen])
        model = self._fitted(points, losses)
        if running:
            # Running trials with their predicted loss; the kernel keeps its fitted parameters.
            pending = np.array([self._space.features(values) for values in running])
            points, losses = np.vstack([points, pending]), np.concatenate([losses, model.predict(pending)])
            model = self._fitted(points, losses, model.kernel_)
        mean, deviation = model.predict(np.array([self._space.features(c) for c in candidates]), return_std=True)
        return candidates[int(np.argmax(_expected_improvement(mean, deviation, losses.min())))]

    def _initial_points(self) -> list[list[float]]:
        """The initial points: a Latin hypercube sample."""
        shape = (_INITIAL_POINTS, len(self._space.ranges))
        strata = self._random.permuted(np.tile(np.arange(_INITIAL_POINTS), (shape[1], 1)), axis=1).T
        points: list[list[float]] = ((strata + self._random.random(shape)) / _INITIAL_POINTS).tolist()
        return points

    def _candidates(self, best: Trial, tried: list[dict[str, str]]) -> list[dict[str, str]]:
        """Points from the whole space and from around the best trial, without those already tried."""
        dimensions = len(self._space.ranges)
        centre = self._space.units(best.values)
        near = np.clip(
            self._random.normal(centre, _NEIGHBOUR_DEVIATION, (_NEIGHBOURS, dimensions)), 0, np.nextafter(1, 0)
        )
        units = np.vstack([self._random.random((_CANDIDATES, dimensions)), near])
        found = {tuple(values.values()): values for values in map(self._space.at, units)}
        return [values for values in found.values() if values not in tried]

    def _fitted(self, points: Any, losses: Any, kernel: Any = None) -> Any:
        # The import takes a second, and only this strategy needs it.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        # One length scale per dimension; with a shared one an unimportant hyperparameter hides an important one.
        lengths = np.full(points.shape[1], 0.5)
        process = GaussianProcessRegressor(
            kernel or ConstantKernel(1.0, (0.1, 100.0)) * Matern(lengths, (0.1, 10.0), nu=2.5),
            alpha=_NOISE,
            optimizer=None if kernel else "fmin_l_bfgs_b",
            normalize_y=True,
            random_state=0,
        )
        with warnings.catch_warnings():
            # With few points the kernel's parameters reach their bounds, which is expected.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return process.fit(points, losses)


def _expected_improvement(mean: Any, deviation: Any, best: float) -> Any:
    spread = np.maximum(deviation, _MIN_DEVIATION)
    gain = best - mean
    score = gain / spread
    density = np.exp(-(score**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in score])
    return gain * below + spread * density
