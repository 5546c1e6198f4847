"""Ray Serve with ``BENCH_WORKERS`` replicas behind its HTTP proxy: MODEL PORT."""

import os
import sys
import time

import numpy as np
import ray
import xgboost
from ray import serve
from starlette.requests import Request

WORKERS = int(os.environ["BENCH_WORKERS"])


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Bench:
    """One process, one thread a prediction."""

    def __init__(self, path: str) -> None:
        self.booster = xgboost.Booster({"nthread": 1}, model_file=path)

    async def __call__(self, request: Request) -> dict:
        """Scores of the rows."""
        rows = (await request.json())["instances"]
        scores = self.booster.inplace_predict(np.array(rows, dtype=np.float32))
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    model, port = sys.argv[1:]
    ray.init(num_cpus=1 + WORKERS, include_dashboard=False, log_to_driver=False, object_store_memory=256 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Bench.bind(model), route_prefix="/predict")
    while True:
        time.sleep(3600)
