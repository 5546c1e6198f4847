"""The inference functions return the booster's scores; invalid input gets status 400 and a message without values."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sagemaker_entry import inference, npy
from sagemaker_entry.model import Model, encode_columns
from tests.entry.channel import CONTRACT, Job, rows, write_channel

CONTENT_TYPE = f"application/x-npy; contract={CONTRACT.fingerprint}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("served")
    job = Job(folder, write_channel(folder / "channel", rows(60)))
    assert job.run_here().returncode == 0
    return inference.model_fn(str(job.model))


def ask(model: Model, body: bytes, content_type: str = CONTENT_TYPE) -> Any:
    """Call the three functions as the container's toolkit does."""
    return inference.output_fn(inference.predict_fn(inference.input_fn(body, content_type), model), "*/*")


def matrix() -> np.ndarray:
    columns = rows(60)
    return encode_columns(CONTRACT, {name: columns[name] for name in CONTRACT.names})


def test_scores_equal_the_boosters_bit_for_bit_and_in_order(model: Model) -> None:
    given = matrix()
    body, content_type = ask(model, npy.encode(given))
    scores = np.load(io.BytesIO(body))
    assert content_type == npy.CONTENT_TYPE
    assert scores.dtype == np.float32
    assert np.isnan(given).any()
    np.testing.assert_array_equal(scores, model.booster.inplace_predict(given))
    np.testing.assert_array_equal(np.load(io.BytesIO(ask(model, npy.encode(given[::-1]))[0])), scores[::-1])


def test_reasons_are_returned_as_scores_and_largest_contributions(model: Model) -> None:
    given = matrix()
    body, _ = ask(model, npy.encode(given), f"{CONTENT_TYPE}; reasons=2")
    table = np.load(io.BytesIO(body))
    assert (table.dtype, table.shape) == (np.float32, (len(given), 5))
    np.testing.assert_array_equal(table[:, 0], model.booster.inplace_predict(given))
    reasons = model.reasons(given, 2)
    np.testing.assert_array_equal(table[:, 1:3], reasons.features)
    np.testing.assert_array_equal(table[:, 3:], reasons.contributions)
    assert (np.abs(table[:, 3]) >= np.abs(table[:, 4])).all()
    everything = model.reasons(given, 99)
    assert everything.features.shape == (len(given), 3)
    assert np.array_equal(np.sort(everything.features, axis=1), np.tile([0, 1, 2], (len(given), 1)))
    assert np.load(io.BytesIO(ask(model, npy.encode(given[:0]), f"{CONTENT_TYPE}; reasons=2")[0])).shape == (0, 5)


def test_no_rows_give_no_scores(model: Model) -> None:
    assert np.load(io.BytesIO(ask(model, npy.encode(matrix()[:0]))[0])).shape == (0,)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (npy.encode(matrix()), "application/x-npy; contract=0123456789abcdef", "made to contract 0123456789abcdef"),
        (npy.encode(matrix()), "application/x-npy", "made to contract (none)"),
        (npy.encode(matrix()), "text/csv", "the content type must be application/x-npy"),
        (npy.encode(matrix()), f"{CONTENT_TYPE}; reasons=-1", "reasons must be a number of at most three digits"),
        (npy.encode(matrix()), f"{CONTENT_TYPE}; reasons=many", "reasons must be a number of at most three digits"),
        (npy.encode(matrix()[:, :2]), f"{CONTENT_TYPE}; reasons=2", "a matrix of 3 features is needed"),
        (npy.encode(matrix()[:, :2]), CONTENT_TYPE, "a matrix of 3 features is needed"),
        (npy.encode(matrix().ravel()), CONTENT_TYPE, "a matrix of 3 features is needed"),
        (npy.encode(matrix().astype(np.float64)), CONTENT_TYPE, "the array must be float32"),
        (b"0.5,0.25,1", CONTENT_TYPE, "not a numpy array"),
        (pickle.dumps([0.5]), CONTENT_TYPE, "not a numpy array"),
        (b"", CONTENT_TYPE, "not a numpy array"),
    ],
)
def test_invalid_input_returns_400(model: Model, body: bytes, content_type: str, said: str) -> None:
    answer = ask(model, body, content_type)
    assert answer.status_code == 400
    assert said in answer.get_data(as_text=True)


def test_a_model_with_another_number_of_features_is_not_loaded(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    other = Model(model.booster, type(CONTRACT)(CONTRACT.columns[:2], ("ID",), "L"))
    other.save(tmp_path)
    with pytest.raises(ValueError, match="takes 3 features, its contract names 2"):
        Model.load(tmp_path)
