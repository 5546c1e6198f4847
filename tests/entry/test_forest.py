"""The compiled forest gives the scores of XGBoost, bit for bit, for all kinds of boosters and values; else XGBoost scores."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_entry import dense
from sagemaker_entry.forest import forest as module
from sagemaker_entry.forest import layout, trust
from sagemaker_entry.forest.choice import Predictor, choose
from sagemaker_entry.forest.forest import Forest
from sagemaker_entry.forest.layout import WORD
from sagemaker_entry.forest.objectives import OBJECTIVES
from sagemaker_entry.model import Model
from sagemaker_entry.model_file import structure
from tests.support.boosters import Trained, train

#: Kinds of boosters: what ``train`` gets.
KINDS: dict[str, dict[str, Any]] = {
    "one leaf": {"gamma": 1e9},
    "depth 1": {"max_depth": 1},
    "depth 5": {"max_depth": 5},
    "depth 6, two words": {"max_depth": 6, "rows": 4000},
    "depth 9, many words": {"max_depth": 9, "rows": 8000, "rounds": 3},
    "leafwise": {"max_depth": 0, "grow_policy": "lossguide", "max_leaves": 300, "rows": 4000},
    "too wide for masks": {"max_depth": 14, "rows": 20_000, "rounds": 2, "objective": "reg:squarederror"},
    "categories": {"max_depth": 5, "categories": 3, "max_cat_to_onehot": 2},
    "categories, walked": {"max_depth": 14, "rows": 20_000, "rounds": 2, "categories": 3, "max_cat_to_onehot": 2},
    "one category against the rest": {"max_depth": 4, "categories": 3, "max_cat_to_onehot": 100},
    "dart": {"booster": "dart", "rate_drop": 0.4},
    "dart of classes": {"booster": "dart", "rate_drop": 0.4, "objective": "multi:softprob"},
    "trees a round": {"num_parallel_tree": 3, "subsample": 0.5},
    "base score": {"base_score": 0.3},
    "exact": {"tree_method": "exact", "gamma": 5},
    "early stop": {"early_stopping_rounds": 2, "rounds": 40},
    "missing values": {"missing": 0.7},
}


def forest_of(trained: Trained, threads: int = 1) -> Forest:
    """The forest of a booster, not compared with it."""
    return Forest.of(structure.check(trained.body, trained.contract).document, threads)


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.ascontiguousarray(found).view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_xgboost(kind: str) -> None:
    trained = train(**KINDS[kind])
    forest = forest_of(trained)
    matrix = np.concatenate([trust.rows(forest.layout, trained.contract), trained.matrix[:1000]])
    assert_equal(forest.predict(matrix), dense.predict(trained.booster, matrix))
    walked = (forest.layout.trees["words"] == 0).any()
    assert walked == ("walked" in kind or "too wide" in kind)


@pytest.mark.parametrize(("limit", "looked_up"), [("", True), ("MOST_LEVELS", False), ("MOST_LOOK_UPS", False)])
@pytest.mark.parametrize("by_bytes", [True, False])
def test_categories_are_looked_up_or_tested_split_by_split(
    monkeypatch: pytest.MonkeyPatch, by_bytes: bool, limit: str, looked_up: bool
) -> None:
    trained = train(categories=3, max_cat_to_onehot=2, max_depth=6, rows=4000)
    monkeypatch.setattr(module, "permutes_bytes", lambda: by_bytes)
    if limit:
        monkeypatch.setattr(layout, limit, 16)
    forest = forest_of(trained)
    tests = forest.layout.tests
    assert (len(forest.layout.classes) > 0) == (by_bytes and looked_up)
    assert (len(forest.layout.lookups) > 0, (tests["feature"] & layout.CATEGORICAL == 0).all()) == (
        looked_up,
        looked_up,
    )
    matrix = np.concatenate([trained.matrix, np.repeat(trained.matrix[:1], 40, axis=0)])
    # What no category is, and a category that the booster has not seen.
    matrix[-40:, 0] = [np.nan, *np.arange(36), 39.5, 40, 2**20]
    assert_equal(forest.predict(matrix), dense.predict(trained.booster, matrix))
    for value in (-1, -0.5, 2**24, np.inf, -np.inf):  # XGBoost refuses them
        matrix[-40:, 1] = value
        by_row = np.concatenate([forest.predict(row[None]) for row in matrix[-40:]])
        assert_equal(forest.predict(matrix)[-40:], by_row)


@pytest.mark.parametrize("levels", [4, 62, 63, 64, 300, 1023, 1024])
@pytest.mark.parametrize("onehot", [1, 2000])
@pytest.mark.parametrize("by_bytes", [True, False])
def test_any_number_of_categories_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, by_bytes: bool, onehot: int, levels: int
) -> None:
    monkeypatch.setattr(module, "permutes_bytes", lambda: by_bytes)
    trained = train(categories=2, levels=levels, max_cat_to_onehot=onehot, max_depth=5, rows=4000)
    laid = (forest := forest_of(trained)).layout
    assert 0 < laid.levels.max() <= levels
    assert not (laid.tests["feature"] & layout.CATEGORICAL).any()
    matrix = trust.rows(laid, trained.contract)
    matrix[:levels, :2] = np.arange(levels)[:, None]
    assert_equal(forest.predict(matrix), dense.predict(trained.booster, matrix))


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_every_objective_gives_the_scores_of_xgboost(objective: str) -> None:
    trained = train(objective=objective)
    forest = forest_of(trained)
    matrix = trust.rows(forest.layout, trained.contract)
    assert_equal(forest.predict(matrix), dense.predict(trained.booster, matrix))


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5, 63, 64, 65, 127, 129, 255, 256, 257, 600])
@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_a_row_has_the_same_score_in_any_company(rows: int, objective: str) -> None:
    trained = train(objective=objective)
    forest = forest_of(trained)
    everything = forest.predict(trained.matrix)
    assert_equal(forest.predict(trained.matrix[:rows]), everything[:rows])


def test_threads_share_the_rows_in_order() -> None:
    trained = train()
    matrix = np.tile(trained.matrix, (20, 1))
    assert_equal(forest_of(trained, threads=3).predict(matrix), forest_of(trained).predict(matrix))


@given(
    depth=st.integers(0, 10),
    rows=st.integers(20, 3000),
    rounds=st.integers(1, 12),
    missing=st.sampled_from([0.0, 0.05, 0.9]),
    categories=st.integers(0, 4),
    seed=st.integers(0, 2**31),
    objective=st.sampled_from(sorted(OBJECTIVES)),
)
def test_random_boosters_have_equal_scores(objective: str, seed: int, depth: int, **data: Any) -> None:
    shape = {"max_depth": depth} if depth else {"max_depth": 0, "grow_policy": "lossguide", "max_leaves": 200}
    trained = train(objective=objective, seed=seed, **shape, **data)
    forest = forest_of(trained)
    matrix = trust.rows(forest.layout, trained.contract, seed=seed)
    assert_equal(forest.predict(matrix), dense.predict(trained.booster, matrix))


def test_a_loaded_model_scores_by_its_forest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train()
    Model(trained.booster, trained.contract).save(tmp_path)
    model = Model.load(tmp_path, threads=1)
    expected = dense.predict(trained.booster, trained.matrix)
    monkeypatch.setattr(dense, "predict", lambda *_: pytest.fail("XGBoost predicted"))
    assert model.predictor.name == "compiled"
    assert_equal(model.predict(trained.matrix), expected)


def test_a_forest_that_differs_in_one_bit_of_one_leaf_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train()

    def damaged(document: Any, threads: int) -> Forest:
        forest = original(document, threads)
        values = forest.layout.leaves
        used = np.flatnonzero(values)
        values[used[0]] = np.nextafter(values[used[0]], np.float32(1))
        return forest

    original = Forest.of
    monkeypatch.setattr(Forest, "of", damaged)
    assert chosen(trained) == Predictor(None, "its compiled scores differ from XGBoost's", distrusted=True)


def test_what_is_not_compiled_is_scored_by_xgboost_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train(objective="reg:squarederror")
    document = dict(structure.check(trained.body, trained.contract).document)
    document["learner"] = {**document["learner"], "objective": {"name": "reg:unknown"}}
    predict = partial(dense.predict, trained.booster)
    assert choose(document, predict, trained.contract, 1).reason == "the objective reg:unknown is not compiled"
    monkeypatch.setitem(sys.modules, "sagemaker_entry.forest.forest", None)
    assert chosen(trained) == Predictor(None, "numba is not installed")


def chosen(trained: Trained) -> Predictor:
    document = structure.check(trained.body, trained.contract).document
    return choose(document, partial(dense.predict, trained.booster), trained.contract, 1)


def test_the_comparison_rows_meet_every_split() -> None:
    trained = train(max_depth=5, categories=0)
    laid = forest_of(trained).layout
    rows = trust.rows(laid, trained.contract)
    assert len(rows) >= 10_000
    inner = laid.nodes[laid.nodes["child"] != np.arange(len(laid.nodes))]
    for node in inner:
        assert (rows[:, node["feature"] & 0xFFFF] == node["threshold"]).any()


def test_masks_fill_whole_words() -> None:
    laid = forest_of(train(max_depth=6, rows=4000)).layout
    assert laid.trees["words"].max() == 2
    assert len(laid.leaves) == laid.trees["words"].sum() * WORD
