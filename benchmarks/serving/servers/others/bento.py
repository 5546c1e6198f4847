"""BentoML's service: rows of cells as an array, NULL as NaN, by the model ``BENCH_MODEL`` in ``BENCH_WORKERS`` processes."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]), traffic={"timeout": 300})
class Bench:
    """One thread a prediction."""

    def __init__(self) -> None:
        self.booster = xgboost.Booster({"nthread": 1}, model_file=os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, data: np.ndarray) -> np.ndarray:
        """Scores of the rows."""
        return self.booster.inplace_predict(data.astype(np.float32))
