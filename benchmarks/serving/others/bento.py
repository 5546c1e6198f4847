"""BentoML's service: rows of cells as an array, NULL as NaN. The model's path stands in ``BENCH_MODEL``."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1, traffic={"timeout": 300})
class Bench:
    """One worker, one thread a prediction."""

    def __init__(self) -> None:
        self.booster = xgboost.Booster({"nthread": 1}, model_file=os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, data: np.ndarray) -> np.ndarray:
        """Scores of the rows."""
        return self.booster.inplace_predict(data.astype(np.float32))
