"""What a row costs on its way through our own code, with the limit beside it: XGBoost's ``inplace_predict`` alone.

One process, one thread, one model (30 float features, 100 trees of depth 5), the same 4,096 rows with 2% NULLs for everybody; CPU
time, medians of interleaved rounds, so that a noisy machine disturbs all alike. Servers and other people's servers are not measured
here.
"""

from __future__ import annotations

import io
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import orjson
import xgboost
from rich.console import Console
from rich.table import Table

from app.deploy.live import LiveVersion
from app.serve.forms.snowflake import decode_batch, encode_reply
from app.serve.rows import Rows, Scored
from sagemaker_entry import inference
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import Model

FEATURES, ROWS, ROUNDS = 30, 4096, 15


def make_model() -> Model:
    """A booster on random data, one thread."""
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(20_000, FEATURES)).astype(np.float32)
    label = (matrix[:, 0] + chance.normal(size=len(matrix)) > 0).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": 5, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(matrix, label), 100)
    return Model(booster, Contract(tuple(Column(f"F{index}") for index in range(FEATURES)), ("ID",), "Y"))


def make_rows() -> tuple[np.ndarray, bytes]:
    """The matrix, and the same rows as a Snowflake batch."""
    chance = np.random.default_rng(1)
    values = chance.normal(size=(ROWS, FEATURES)).round(6)
    values[chance.random(values.shape) < 0.02] = np.nan
    rows = [
        [number, *(None if np.isnan(value) else value for value in row)] for number, row in enumerate(values.tolist())
    ]
    return values.astype(np.float32), orjson.dumps({"data": rows})


def paths(model: Model) -> dict[str, Callable[[], object]]:
    """What is measured, by name; the first is the limit."""
    matrix, body = make_rows()
    live = LiveVersion("bench", "1.0", model.contract, "bench", "s3://b/k", "0")
    buffer = io.BytesIO()
    np.save(buffer, matrix, allow_pickle=False)
    payload, content_type = buffer.getvalue(), f"application/x-npy; contract={model.contract.fingerprint}"
    expected = model.booster.inplace_predict(matrix)

    def endpoint() -> np.ndarray:
        prediction = inference.predict_fn(inference.input_fn(payload, content_type), model)
        answer, _ = inference.output_fn(prediction, inference.NPY)
        return np.load(io.BytesIO(answer))

    def whole() -> bytes:
        rows = decode_batch(body, live, None)
        return encode_reply(Scored(model.predict(rows.matrix)), rows, live).body

    np.testing.assert_array_equal(endpoint(), expected)
    assert orjson.loads(whole())["data"] == list(map(list, enumerate(expected.astype(np.float64).tolist())))
    return {
        "inplace_predict alone (the limit)": lambda: model.booster.inplace_predict(matrix),
        "the endpoint's code: npy in, npy out": endpoint,
        "decode a Snowflake batch": lambda: decode_batch(body, live, None),
        "encode the reply": lambda: encode_reply(Scored(expected), Rows(matrix), live),
        "decode, predict, encode": whole,
    }


def measure(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of CPU time a row, by name."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.process_time()
            call()
            found[name].append(1e6 * (time.process_time() - started) / ROWS)
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure and print."""
    results = measure(paths(make_model()))
    limit = next(iter(results.values()))
    table = Table(title=f"CPU time a row, {ROWS:,} rows of {FEATURES} features, medians of {ROUNDS} interleaved rounds")
    table.add_column("path")
    table.add_column("µs a row", justify="right")
    table.add_column("rows a CPU second", justify="right")
    table.add_column("times the limit", justify="right")
    for name, cost in results.items():
        table.add_row(name, f"{cost:.2f}", f"{1e6 / cost:,.0f}", f"{cost / limit:.2f}")
    console = Console()
    console.print(table)
    versions = f"Python {platform.python_version()}, XGBoost {xgboost.__version__}, numpy {np.__version__}"
    console.print(f"{platform.machine()}, {versions}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
