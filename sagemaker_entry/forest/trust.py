"""A forest scores only after it has given the scores of its booster, bit for bit, on rows that are made to find a difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sagemaker_entry.contract import Contract
from sagemaker_entry.forest.forest import Forest, Matrix
from sagemaker_entry.forest.layout import CATEGORICAL, FEATURE, Layout

ROWS = 10_240
_MISSING, _AT_SPLIT = 0.1, 0.6
_SPECIAL = np.array([0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, 3.4e38, -3.4e38], np.float32)


def agrees(forest: Forest, predict: Callable[[Matrix], Matrix], contract: Contract) -> bool:
    """Whether ``forest`` gives the scores of ``predict`` on the rows of ``rows``, in blocks and one by one."""
    matrix = rows(forest.layout, contract)
    expected = predict(matrix)
    if not _equal(forest.predict(matrix), expected):
        return False
    one_by_one = np.concatenate([forest.predict(matrix[row : row + 1]) for row in range(0, ROWS, ROWS // 128)])
    return _equal(one_by_one, expected[:: ROWS // 128])


def rows(layout: Layout, contract: Contract, count: int = ROWS, seed: int = 0) -> Matrix:
    """Rows [count, features], the same each time: most values are a split of their feature, or the next float32 above or below it;
    the others are random, missing, or unusual."""
    chance = np.random.default_rng(seed)
    width = len(contract.names)
    scale = np.float32(10) ** chance.integers(-4, 5, (count, 1)).astype(np.float32)
    matrix = chance.standard_normal((count, width), np.float32) * scale
    nodes = layout.nodes
    inner = nodes[nodes["child"] != np.arange(len(nodes))]
    features = inner["feature"] & FEATURE
    for number, column in enumerate(contract.columns):
        if column.categories:
            matrix[:, number] = chance.integers(0, len(column.categories), count)
            continue
        splits = np.unique(inner["threshold"][(features == number) & (inner["feature"] & CATEGORICAL == 0)])
        if len(splits):
            near = np.concatenate(
                [splits, np.nextafter(splits, np.float32(np.inf)), np.nextafter(splits, np.float32(-np.inf))]
            )
            chosen = chance.random(count) < _AT_SPLIT
            matrix[chosen, number] = chance.choice(near, int(chosen.sum()))
        unusual = chance.random(count) < 0.01
        matrix[unusual, number] = chance.choice(_SPECIAL, int(unusual.sum()))
    matrix[chance.random(matrix.shape) < _MISSING] = np.nan
    matrix[0] = np.nan
    return matrix


def _equal(found: Matrix, expected: Matrix) -> bool:
    """Whether all bits are equal."""
    return found.shape == expected.shape and np.ascontiguousarray(found).tobytes() == expected.tobytes()
