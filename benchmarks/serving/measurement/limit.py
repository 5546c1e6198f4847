"""The limit: the cost of prediction without a server, and with only the codec around it.

One process, one thread, the same rows for all, in CPU time, as the servers are measured.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

import numpy as np
import orjson

from app.deploy.live import LiveVersion
from app.serve.codecs import snowflake
from app.serve.rows import Rows, Scored
from benchmarks.serving.workload import NAME, Workload
from sagemaker_entry import inference, npy

ALONE = "inplace_predict alone"
PREDICT = "this project's predict"
DECODE, DECODE_LONG = "decode a Snowflake batch", "decode a Snowflake batch, 17 digits"
BARE = "decode, predict, encode"
ENDPOINT = "the endpoint's code: npy in, npy out"

_REPEATED_S = 0.25


def paths(workload: Workload, rows: int) -> dict[str, Callable[[], object]]:
    """The measured functions by name; the first is the limit. Raises AssertionError if two of them disagree."""
    model, matrix = workload.model, workload.matrix[:rows]
    body, long = _batch(workload, rows), _batch(workload.long, rows)
    live = LiveVersion(NAME, "1.0", model.contract, NAME, f"s3://{NAME}/model.tar.gz", "0")
    expected = workload.expected[:rows]
    buffer = io.BytesIO()
    np.save(buffer, matrix, allow_pickle=False)
    payload, content_type = buffer.getvalue(), f"{npy.CONTENT_TYPE}; contract={model.contract.fingerprint}"

    def endpoint() -> bytes:
        scored = inference.predict_fn(inference.input_fn(payload, content_type), model)
        answer: bytes = inference.output_fn(scored, npy.CONTENT_TYPE)[0]
        return answer

    def whole() -> bytes:
        decoded = snowflake.decode(body, live, {})
        return snowflake.encode_reply(Scored(model.predict(decoded.matrix)), decoded, live).body

    assert np.array_equal(np.load(io.BytesIO(endpoint())), expected)
    assert orjson.loads(whole())["data"] == [[number, float(score)] for number, score in enumerate(expected)]
    return {
        **predictions(workload, rows),
        ENDPOINT: endpoint,
        DECODE: lambda: snowflake.decode(body, live, {}),
        DECODE_LONG: lambda: snowflake.decode(long, live, {}),
        "encode the reply": lambda: snowflake.encode_reply(Scored(expected), Rows(matrix), live),
        BARE: whole,
    }


def predictions(workload: Workload, rows: int) -> dict[str, Callable[[], object]]:
    """Only the two predictions of a matrix. Raises AssertionError if one bit of their scores differs."""
    model, matrix = workload.model, workload.matrix[:rows]
    assert model.predict(matrix).tobytes() == workload.expected[:rows].tobytes()
    return {ALONE: lambda: model.booster.inplace_predict(matrix), PREDICT: lambda: model.predict(matrix)}


def cost_us(call: Callable[[], object], rows: int) -> float:
    """Microseconds of CPU time a row: the median of calls repeated for a quarter of a second."""
    call()
    found: list[float] = []
    until = time.perf_counter() + _REPEATED_S
    while time.perf_counter() < until or len(found) < 3:
        started = time.thread_time_ns()
        call()
        found.append((time.thread_time_ns() - started) / 1000 / rows)
    return statistics.median(found)


def _batch(workload: Workload, rows: int) -> bytes:
    return orjson.dumps({"data": [[number, *row] for number, row in enumerate(workload.rows[:rows])]})
