"""A trial of a saved model in a process of its own: loads it, scores sample rows, and writes one line of JSON.

``python -m sagemaker_entry.model_file.trial FOLDER``. A model that ends its process ends this one, and not the program that
tries it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sagemaker_entry.contract import Contract
from sagemaker_entry.model import Matrix, Model

_ROWS = 64
_REASONS = 3


def sample(contract: Contract) -> Matrix:
    """Rows of all kinds of values that a model may get: [rows, features], the same each time."""
    chance = np.random.default_rng(0)
    matrix = (chance.normal(size=(_ROWS, len(contract.names))) * 10.0 ** chance.integers(-3, 7, (_ROWS, 1))).astype(
        np.float32
    )
    for index, column in enumerate(contract.columns):
        if column.categories:
            matrix[:, index] = chance.integers(0, len(column.categories), _ROWS)
    matrix[chance.random(matrix.shape) < 0.1] = np.nan
    matrix[0], matrix[1] = 0, np.nan
    return matrix


def main(folder: Path) -> None:
    """Write the outcome: ``rows`` scored, and whether there is one ``finite`` score for each."""
    model = Model.load(folder, threads=1)
    matrix = sample(model.contract)
    scores = model.predict(matrix)
    contributions = model.reasons(matrix, _REASONS).contributions if scores.ndim == 1 else scores
    finite = scores.shape == (len(matrix),) and bool(np.isfinite(scores).all() and np.isfinite(contributions).all())
    sys.stdout.write(json.dumps({"rows": len(matrix), "finite": finite}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
