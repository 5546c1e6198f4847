"""The table of hyperparameters says what XGBoost says, and each fault is worded with what to write instead."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xgboost

from sagemaker_entry.hyperparameters import converted, faults, feature_fault
from sagemaker_entry.objectives import OBJECTIVES, watched_metric
from sagemaker_entry.parameters import PARAMETERS

#: The job's own, which XGBoost takes in another way.
OWN = {"n_estimators", "early_stopping_rounds"}

#: A sound value of each kind, where its first bound or choice is not one.
SAMPLES: dict[str, Any] = {
    "objective": "binary:logistic",
    "base_score": 0.3,
    "eval_metric": "auc",
    "monotone_constraints": "(1, 0)",
    "interaction_constraints": "[[0, 1]]",
    "validate_parameters": True,
    "quantile_alpha": 0.5,
    "max_bin": 16,
}


def said(**given: Any) -> str:
    return "\n".join(f"{name}: {text}" for name, text in faults(given))


def train(given: dict[str, Any]) -> list[str]:
    """Train one round on a few rows; the library's warnings about names that it does not use."""
    chance = np.random.default_rng(0)
    values = chance.normal(size=(60, 2)).astype(np.float32)
    label = (values[:, 0] > 0).astype(np.float32) + (1 if given.get("objective") == "reg:gamma" else 0)
    sound = {name: converted(name, value) for name, value in given.items()}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        xgboost.train({"nthread": 1, **sound}, xgboost.DMatrix(values, label), 1)
    return [str(item.message) for item in heard if "not used" in str(item.message)]


def company(name: str) -> dict[str, Any]:
    """What has to be given for ``name`` to have an effect."""
    needed = PARAMETERS[name].given
    given = {needed[0]: needed[1][0]} if needed else {}
    return given | ({"quantile_alpha": 0.5} if given.get("objective") == "reg:quantileerror" else {})


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - OWN))
def test_xgboost_knows_each_parameter_and_takes_a_sound_value(name: str) -> None:
    parameter = PARAMETERS[name]
    value = SAMPLES.get(name, parameter.choices[0] if parameter.choices else True if parameter.kind == "flag" else 1)
    given = company(name) | {name: value}
    assert said(**given) == ""
    assert train(given) == []


@pytest.mark.parametrize(
    "name",
    sorted(name for name in PARAMETERS.keys() - OWN if PARAMETERS[name].kind in ("number", "whole", "flag", "choice")),
)
def test_what_is_no_value_of_its_kind_is_refused_here_and_there(name: str) -> None:
    given = company(name) | {name: "wrong"}
    assert said(**given).startswith(f"{name}: ")
    if name not in ("validate_parameters", "verbosity"):  # the library reads those otherwise
        with pytest.raises((xgboost.core.XGBoostError, ValueError)):
            xgboost.train(given, xgboost.DMatrix(np.ones((4, 1)), np.array([0, 1, 0, 1])), 1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_trains(objective: str) -> None:
    given = {"objective": objective} | ({"quantile_alpha": 0.5} if "quantile" in objective else {})
    assert said(**given) == ""
    assert train(given) == []


@pytest.mark.parametrize(
    "name", ["max_depth", "max_leaves", "num_parallel_tree", "max_cat_to_onehot", "max_bin", "seed"]
)
@pytest.mark.parametrize("value", [1.5, True, "2.5", None, float("nan"), 10**400, -(10**30)])
def test_a_whole_number_is_a_whole_number(name: str, value: Any) -> None:
    assert said(**{name: value}).startswith(f"{name}: must be a whole number")


@pytest.mark.parametrize("value", ["x", True, None, float("nan"), float("inf"), 10**400, "", "1e999", 1e39])
def test_a_number_is_finite(value: Any) -> None:
    assert said(eta=value).startswith("eta: must be a number, greater than 0, not ")


@pytest.mark.parametrize(("value", "number"), [("1e-3", 0.001), ("0.5", 0.5), (1, 1.0)])
def test_a_number_that_yaml_reads_as_text_is_a_number(value: Any, number: float) -> None:
    assert said(eta=value) == ""
    assert converted("eta", value) == number


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"max_dept": 3}, "max_dept: XGBoost has no such hyperparameter; did you mean max_depth?"),
        ({"Max_Depth": 3}, "Max_Depth: XGBoost has no such hyperparameter; did you mean max_depth?"),
        ({"verbosity": 0, "learning_rat": 1}, "did you mean learning_rate?"),
        ({"num_round": 3}, "num_round: write n_estimators instead"),
        ({"split_test": 0.3}, "split_test: is set from training.split"),
        ({"max_depth": 5.0}, "must be a whole number, at least 0 and at most 2147483647, not 5.0; write 5"),
        ({"max_bin": 1}, "max_bin: must be a whole number, at least 2"),
        ({"subsample": 1.5}, "subsample: must be a number, greater than 0 and at most 1, not 1.5"),
        ({"early_stopping_rounds": -1}, "early_stopping_rounds: must be a whole number, at least 0"),
        ({"objective": "reg:linear"}, "objective: reg:linear is the old name of reg:squarederror; write that"),
        ({"objective": "reg:squarederor"}, "objective: reg:squarederor is not supported; did you mean reg:squarederror?"),
        ({"objective": "binary:hinge"}, "binary:hinge gives no probabilities"),
        ({"objective": "multi:softmax"}, "multi:softmax is not supported; write one of binary:logistic, reg:squarederror"),
        ({"objective": "reg:quantileerror"}, "objective: reg:quantileerror needs the quantile to predict; add quantile_alpha"),
        ({"booster": "gblinear"}, "booster: gblinear is not supported"),
        ({"booster": "gbtre"}, "booster: gbtre is not known; did you mean gbtree?"),
        ({"tree_method": "gpu_hist"}, "tree_method: gpu_hist was removed from XGBoost; write hist"),
        ({"device": "cuda"}, "device: cuda is not supported: training uses the CPU"),
        ({"updater": "grow_colmaker"}, "updater: is set by tree_method here"),
        ({"top_k": 3}, "top_k: belongs to booster: gblinear"),
        ({"rate_drop": 0.1}, "rate_drop: has no effect with booster: gbtree; leave it out, or write booster: dart"),
        ({"max_cached_hist_node": 9, "tree_method": "exact"}, "max_cached_hist_node: has no effect with tree_method: exact"),
        ({"eta": 0.1, "learning_rate": 0.1}, "learning_rate: is another name of eta"),
        ({"base_score": 2}, "base_score: must be a number, greater than 0 and less than 1, for binary:logistic, not 2"),
        ({"base_score": 0, "objective": "reg:gamma"}, "base_score: must be a number, greater than 0, for reg:gamma"),
        ({"eval_metric": "rmse"}, "eval_metric: rmse does not measure binary:logistic"),
        ({"eval_metric": "error@"}, "eval_metric: error@ needs a number behind the @, such as error@0.7"),
        ({"eval_metric": "quantile", "objective": "reg:gamma"}, "quantile measures reg:quantileerror only"),
        ({"tree_method": "exact", "max_depth": 0}, "max_depth: tree_method: exact needs a limit"),
        ({"tree_method": "exact", "sampling_method": "gradient_based"}, "gradient_based needs tree_method: hist"),
        ({"monotone_constraints": "1,0"}, "monotone_constraints: write one of 1, 0 and -1 for each feature"),
        ({"monotone_constraints": "(2,0)"}, "monotone_constraints: write one of 1, 0 and -1"),
        ({"interaction_constraints": '["A", "B"]'}, "interaction_constraints: write the features that may interact"),
        ({"interaction_constraints": '[["A", 1]]'}, "interaction_constraints: write the features"),
        ({"seed_per_iteration": 2}, "seed_per_iteration: write true or false, not 2"),
    ],
)  # fmt: skip
def test_a_fault_says_what_to_write(given: dict[str, Any], text: str) -> None:
    assert text in said(**given)


def test_every_fault_is_found_at_once() -> None:
    assert [name for name, _ in faults({"max_dept": 3, "eta": -1, "booster": "gblinear"})] == [
        "max_dept",
        "eta",
        "booster",
    ]


def test_categories_rule_out_the_exact_method() -> None:
    assert list(faults({"tree_method": "exact"})) == []
    assert [name for name, _ in faults({"tree_method": "exact"}, categories=True)] == ["tree_method"]
    assert feature_fault({"tree_method": "exact"}, ("A",), categories=True) is not None
    assert feature_fault({"tree_method": "exact"}, ("A",), categories=False) is None


def test_early_stopping_watches_the_gates_metric_or_the_given_one() -> None:
    assert watched_metric({"objective": "binary:logistic"}) == "auc"
    assert watched_metric({"objective": "reg:gamma"}) == "rmse"
    assert watched_metric({"objective": "binary:logistic", "eval_metric": "error@0.7"}) == "error@0.7"
