"""XGBoost's parameters: which there are, what each may be, and why others are refused.

The names and bounds are those of XGBoost 3.2 (https://xgboost.readthedocs.io/en/release_3.2.0/parameter.html), and where its
library is stricter than that page, the library's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sagemaker_entry.objectives import Bounds

#: A parameter, and its values with which another one has an effect.
Given = tuple[str, tuple[str, ...]]


_ANY = Bounds()


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter. ``given``: it has an effect only if that one is one of those values, and is refused otherwise."""

    kind: Literal["number", "whole", "flag", "choice", "text"]
    bounds: Bounds = _ANY
    choices: tuple[str, ...] = ()
    given: Given | None = None


def _number(least: float = -math.inf, most: float = math.inf, open_: str = "", given: Given | None = None) -> Parameter:
    return Parameter("number", Bounds(least, most, open_), given=given)


def _whole(least: float = -math.inf, most: float = math.inf, given: Given | None = None) -> Parameter:
    return Parameter("whole", Bounds(least, most), given=given)


def _choice(*choices: str, given: Given | None = None) -> Parameter:
    return Parameter("choice", choices=choices, given=given)


def _objective(*names: str) -> Given:
    return "objective", names


_FLAG = Parameter("flag")
_SHARE = _number(0, 1, "(")
_DART: Given = ("booster", ("dart",))
_HISTOGRAM: Given = ("tree_method", ("hist", "approx", "auto"))

PARAMETERS: dict[str, Parameter] = {
    # the job's own
    "n_estimators": _whole(1, 1_000_000),
    "early_stopping_rounds": _whole(0, 1_000_000),  # 0: no early stopping
    # general
    "objective": Parameter("text"),
    "booster": _choice("gbtree", "dart"),
    "device": _choice("cpu"),
    "verbosity": _whole(0, 3),
    "validate_parameters": _FLAG,
    "nthread": _whole(-1),
    "n_jobs": _whole(-1),
    "seed": _whole(-(2**63), 2**63 - 1),
    "random_state": _whole(-(2**63), 2**63 - 1),
    "seed_per_iteration": _FLAG,
    "disable_default_eval_metric": _FLAG,
    "base_score": _number(),
    "eval_metric": Parameter("text"),
    "multi_strategy": _choice("one_output_per_tree"),
    # trees
    "tree_method": _choice("auto", "exact", "approx", "hist"),
    "eta": _number(0, open_="("),
    "learning_rate": _number(0, open_="("),
    "gamma": _number(0),
    "min_split_loss": _number(0),
    "max_depth": _whole(0, 2**31 - 1),
    "max_leaves": _whole(0, 2**31 - 1),
    "min_child_weight": _number(0),
    "max_delta_step": _number(0),
    "subsample": _SHARE,
    "sampling_method": _choice("uniform", "gradient_based"),
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "colsample_bynode": _SHARE,
    "lambda": _number(0),
    "reg_lambda": _number(0),
    "alpha": _number(0),
    "reg_alpha": _number(0),
    "scale_pos_weight": _number(0, given=_objective("binary:logistic", "reg:squarederror", "reg:logistic")),
    "grow_policy": _choice("depthwise", "lossguide"),
    "max_bin": _whole(2, 2**31 - 1),
    "max_cached_hist_node": _whole(1, 2**31 - 1, given=_HISTOGRAM),
    "num_parallel_tree": _whole(1, 2**31 - 1),
    "monotone_constraints": Parameter("text"),
    "interaction_constraints": Parameter("text"),
    "max_cat_to_onehot": _whole(1, 2**31 - 1),
    "max_cat_threshold": _whole(1, 2**31 - 1),
    # dropout
    "sample_type": _choice("uniform", "weighted", given=_DART),
    "normalize_type": _choice("tree", "forest", given=_DART),
    "rate_drop": _number(0, 1, given=_DART),
    "one_drop": Parameter("flag", given=_DART),
    "skip_drop": _number(0, 1, given=_DART),
    # objectives
    "huber_slope": _number(0, open_="(", given=_objective("reg:pseudohubererror")),
    "quantile_alpha": _number(0, 1, "()", given=_objective("reg:quantileerror")),
    "tweedie_variance_power": _number(1, 2, ")", given=_objective("reg:tweedie")),
}

#: Two names of one parameter: only one of them may be given.
SAME = (
    ("eta", "learning_rate"),
    ("gamma", "min_split_loss"),
    ("lambda", "reg_lambda"),
    ("alpha", "reg_alpha"),
    ("seed", "random_state"),
    ("nthread", "n_jobs"),
)

_LINEAR = "belongs to booster: gblinear, which is not supported; leave it out"
_OF_RANKING = "belongs to ranking objectives, which are not supported; leave it out"
_OF_SURVIVAL = "belongs to survival objectives, which are not supported; leave it out"

#: What people may know from XGBoost, its older versions or its other interfaces, and what applies here.
REFUSED = {
    **dict.fromkeys(
        ("num_round", "num_boost_round", "num_rounds", "iterations", "n_rounds"), "write n_estimators instead"
    ),
    "early_stopping_round": "write early_stopping_rounds instead",
    "silent": "was removed from XGBoost; write verbosity: 0 instead",
    **dict.fromkeys(("n_gpus", "gpu_id", "predictor"), "was removed from XGBoost; leave it out, training uses the CPU"),
    "single_precision_histogram": "was removed from XGBoost; leave it out",
    **dict.fromkeys(("updater", "process_type", "refresh_leaf"), "is set by tree_method here; leave it out"),
    "sparse_threshold": "only changes the memory of matrices that this job does not use; leave it out",
    "debug_synchronize": "is for debugging XGBoost itself; leave it out",
    "use_rmm": "is for GPUs, and training uses the CPU; leave it out",
    "fail_on_invalid_gpu_id": "is for GPUs, and training uses the CPU; leave it out",
    "num_class": "belongs to multi: objectives, which are not supported; leave it out",
    **dict.fromkeys(("num_target", "num_feature", "boost_from_average"), "is set by XGBoost itself; leave it out"),
    "enable_categorical": "is always on; declare the categories in the view",
    "missing": "is always NULL; leave it out",
    "importance_type": "is always total_gain in the report; leave it out",
    "callbacks": "is an argument in Python, not a parameter; leave it out",
    **dict.fromkeys(("feature_selector", "top_k", "tolerance"), _LINEAR),
    **dict.fromkeys(("aft_loss_distribution", "aft_loss_distribution_scale"), _OF_SURVIVAL),
    **dict.fromkeys(
        (
            "lambdarank_pair_method",
            "lambdarank_num_pair_per_sample",
            "lambdarank_normalization",
            "lambdarank_score_normalization",
            "lambdarank_unbiased",
            "lambdarank_bias_norm",
            "lambdarank_diff_normalization",
            "ndcg_exp_gain",
        ),
        _OF_RANKING,
    ),
    **dict.fromkeys(
        ("split_by", "split_seed", "split_horizon_s", "split_validation", "split_test"),
        "is set from training.split and label.horizon; leave it out",
    ),
}

#: Values that XGBoost accepts for another use, and why they are refused here.
REFUSED_VALUES = {
    (
        "booster",
        "gblinear",
    ): "gblinear is not supported: a linear model has no trees, which early stopping, categories and the "
    "report need; write gbtree or dart",
    (
        "multi_strategy",
        "multi_output_tree",
    ): "multi_output_tree needs several outputs, and a model here has one; leave it out",
    ("tree_method", "gpu_hist"): "gpu_hist was removed from XGBoost; write hist, training uses the CPU",
    **{("device", name): f"{name} is not supported: training uses the CPU; leave it out" for name in ("cuda", "gpu")},
}
