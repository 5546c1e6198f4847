"""CSV for the built-in algorithm's container: exact requests, and every form of response decoded or rejected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deploy.rules import ServingRules
from app.errors import CallerError, PermanentError
from app.ports import Invocation, Invoked
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.rows import Rows
from app.serve.scoring import csv
from app.serve.scoring.endpoint import MAX_CHUNK_BYTES, EndpointScorer

from .fakes import RawEndpoint, live_version

LIVE = replace(live_version(), rules=ServingRules(payload="csv"))
MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)

values = st.floats(width=32, allow_infinity=False) | st.sampled_from([-0.0, 1e-45, 3.4028235e38, 1.17549435e-38])


def read(body: bytes) -> np.ndarray:
    """Read as the container does: an empty field is missing, and any other is parsed as a double."""
    lines = [[np.nan if text == "" else float(text) for text in line.split(",")] for line in body.decode().split("\n")]
    return np.array(lines, dtype=np.float64).astype(np.float32)


@given(st.integers(2, 5).flatmap(lambda width: st.lists(st.lists(values, min_size=width, max_size=width), min_size=1)))
def test_every_value_is_transferred_exactly(rows: list[list[float]]) -> None:
    matrix = np.array(rows, dtype=np.float32)
    body = csv.encode(matrix)
    arrived = read(body)
    assert np.array_equal(np.isnan(arrived), np.isnan(matrix))
    assert np.nan_to_num(arrived).tobytes() == np.nan_to_num(matrix).tobytes()
    assert len(body) < matrix.size * csv.MAX_VALUE_BYTES


def test_random_bit_patterns_are_transferred_exactly() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 400_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    matrix = np.where(np.isfinite(bits), bits, np.float32(0)).reshape(-1, 4)
    assert read(csv.encode(matrix)).tobytes() == matrix.tobytes()


def test_null_is_an_empty_field_and_there_is_no_final_empty_line() -> None:
    matrix = np.array([[np.nan, 1.5, np.nan], [0.1, np.nan, -2e20]], dtype=np.float32)
    assert csv.encode(matrix) == b",1.5,\n0.1,,-2e+20"


def test_a_matrix_of_one_column_is_rejected() -> None:
    with pytest.raises(CallerError, match="a CSV of one column"):
        csv.encode(MATRIX[:, :1])


@pytest.mark.parametrize(
    "answer",
    [
        b'{"predictions": [{"score": 0.10000000149011612}, {"score": 1}]}',
        b'{"predictions":[{"score":0.1},{"score":1.0}]}\n',
        b"0.1\n1.0",
        b"0.1\n1.0\n",
        b"0.10000000149011612\r\n1\r\n",
        b"0.1,1.0",
        b" 0.1, 1.0\n",
    ],
)
def test_every_form_of_response_is_decoded(answer: bytes) -> None:
    assert csv.decode(answer).tobytes() == np.array([0.1, 1.0], np.float32).tobytes()


def answering(answer: bytes) -> RawEndpoint:
    """A container that always gives the same response."""

    def respond(asked: Invocation) -> Invoked:
        assert (asked.endpoint, asked.content_type, asked.accept) == ("churn-endpoint", "text/csv", "application/json")
        return Invoked(answer, asked.variant)

    return RawEndpoint(respond)


def score(answer: bytes, matrix: np.ndarray = MATRIX) -> np.ndarray:
    return (
        EndpointScorer(answering(answer))
        .score(LIVE, Rows(matrix), PredictionRequest("churn", {}, Deadline.after(9)))
        .scores
    )


def test_a_valid_response_gives_the_scores() -> None:
    assert score(b"0.25\n0.75").tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "neither JSON nor CSV"),
        (b"score\n0.1", "neither JSON nor CSV"),
        (b"0.1\n[0.2, 0.3]", "neither JSON nor CSV"),
        (b"0.1,,0.2", "neither JSON nor CSV"),
        (b'{"predictions": [{"predicted_label": 1}, {"score": 1}]}', "neither JSON nor CSV"),
        (b'{"predictions": [{"score": null}, {"score": 1}]}', "neither JSON nor CSV"),
        (b'{"predictions": [{"score": "1"}, {"score": 1}]}', "neither JSON nor CSV"),
        (b'{"predictions": [{"score": [0.1, 0.9]}, {"score": 1}]}', "neither JSON nor CSV"),
        (b'{"predictions": [{"score": NaN}, {"score": 1}]}', "neither JSON nor CSV"),
        (b'{"predictions": 7}', "neither JSON nor CSV"),
        (b'{"error": "x"}', "neither JSON nor CSV"),
        (b"0.1", "for 2 rows"),
        (b"0.1\n0.2\n0.3", "for 2 rows"),
        (b"0.1,0.9\n0.2,0.8", "for 2 rows"),
        (b"0.1\nnan", "not finite"),
        (b"0.1\n1e39", "not finite"),
    ],
)
def test_an_invalid_response_is_an_error_and_never_a_score(answer: bytes, text: str) -> None:
    with pytest.raises(PermanentError, match=text):
        score(answer)


def test_bodies_with_long_numbers_stay_below_the_limit() -> None:
    matrix = np.full((300_000, 3), -1.1754944e-38, dtype=np.float32)
    endpoint = answering(b"0")
    with pytest.raises(PermanentError, match="rows, not one float32 for each"):
        EndpointScorer(endpoint, in_flight=1).score(
            LIVE, Rows(matrix), PredictionRequest("churn", {}, Deadline.after(9))
        )
    assert max(map(len, endpoint.bodies)) < MAX_CHUNK_BYTES
