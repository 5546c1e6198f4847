"""The structure of a saved booster, checked before XGBoost loads it.

XGBoost's loader and predictor trust the file: they follow node numbers, feature numbers and positions of categories without a
look at the arrays' lengths, so a damaged file ends the process instead of raising. What they use as an index, a size or a count
is checked here (xgboost/src/tree/tree_model.cc, src/gbm/gbtree_model.cc, src/learner.cc, version 3.2). What they only compute with
(thresholds, leaves, weights) is not: it changes scores, and the artefact's digest protects it. A linear booster is refused,
because XGBoost cannot predict with it in place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sagemaker_entry.contract import Contract
from sagemaker_entry.model_file import ubjson

#: Levels of a tree. The contributions of features are computed by recursion, with memory for the square of the depth.
MAX_DEPTH = 1024

#: Objectives with one score a row, and those with one a class.
_SINGLE = frozenset(
    {
        *(f"binary:{name}" for name in ("hinge", "logistic", "logitraw")),
        *(f"rank:{name}" for name in ("map", "ndcg", "pairwise")),
        *(f"reg:{name}error" for name in ("absolute", "pseudohuber", "quantile", "squared", "squaredlog")),
        *(f"reg:{name}" for name in ("gamma", "linear", "logistic", "tweedie")),
        *("count:poisson", "survival:aft", "survival:cox"),
    }
)
_MULTI = frozenset({"multi:softmax", "multi:softprob"})

_ROOT_PARENTS = (-1, 2**31 - 1)
_DELETED = 2**31 - 1
#: A tree's arrays with an element a node.
_NODE_ARRAYS = {
    "left_children": ">i4",
    "right_children": ">i4",
    "parents": ">i4",
    "split_indices": ">i4",
    "split_type": ">u1",
    "default_left": ">u1",
    "split_conditions": ">f4",
    "base_weights": ">f4",
    "loss_changes": ">f4",
    "sum_hessian": ">f4",
}
_CATEGORY_ARRAYS = {
    "categories": ">i4",
    "categories_nodes": ">i4",
    "categories_segments": ">i8",
    "categories_sizes": ">i8",
}
_DIGITS = re.compile(r"[0-9]{1,9}")
_NUMBER = r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?"
_NUMBERS = re.compile(rf"\[?{_NUMBER}(, ?{_NUMBER})*\]?")
_PARAMETER = re.compile(r"[-+.,:_ \[\]A-Za-z0-9]{0,200}")

Integers = npt.NDArray[np.int64]


class DamagedModel(ValueError):
    """The file of a booster is not one that XGBoost can load safely, or its features are not the contract's."""


@dataclass(frozen=True)
class Checked:
    """A booster's file that XGBoost can load safely. ``document``: what ``ubjson`` reads of it; ``trees``: their number."""

    document: Mapping[str, Any]
    trees: int


def check(body: bytes, contract: Contract) -> Checked:
    """``body`` read as a booster for the contract's features, as XGBoost 3 saves one (UBJSON).

    Raises DamagedModel for anything else.
    """
    try:
        document = ubjson.read(body)
    except ubjson.UbjsonError as error:
        raise DamagedModel(f"the model's file is damaged: {error}; train again") from None
    try:
        return Checked(document, _check(document, contract))
    except _Fault as fault:
        raise DamagedModel(f"the model's file cannot be loaded safely: {fault}; train again") from None


class _Fault(Exception):
    """What is wrong, as the middle of a sentence."""


def _check(document: Any, contract: Contract) -> int:
    learner = _object(document, "learner")
    groups = _check_learner(learner, contract)
    booster = _object(learner, "gradient_booster")
    match booster.get("name"):
        case "gbtree":
            return _check_trees(_object(booster, "model"), groups, contract)
        case "dart":
            trees = _check_trees(_object(_object(booster, "gbtree"), "model"), groups, contract)
            _require(
                _length_of(booster.get("weight_drop")) == trees, "weight_drop does not have a weight for each tree"
            )
            return trees
        case _:
            raise _Fault("its booster is neither gbtree nor dart")


def _check_learner(learner: Mapping[str, Any], contract: Contract) -> int:
    """The number of scores a row."""
    width, parameters = len(contract.names), _object(learner, "learner_model_param")
    features, classes = _number(parameters, "num_feature"), _number(parameters, "num_class")
    _require(features == width, f"the booster takes {features} features, its contract names {width}")
    _require(_number(parameters, "num_target") == 1, "it has several targets")
    groups = max(1, classes)
    _check_objective(_object(learner, "objective"), classes)
    base = parameters.get("base_score")
    scores = base.strip("[]").split(",") if isinstance(base, str) and _NUMBERS.fullmatch(base) else []
    _require(
        len(scores) in (1, groups) and all(math.isfinite(float(score)) for score in scores),
        "base_score is not a number for each score",
    )
    for name in ("feature_names", "feature_types"):
        texts = learner.get(name, [])
        fits = isinstance(texts, list) and len(texts) in (0, width) and all(isinstance(text, str) for text in texts)
        _require(fits, f"{name} does not have a text for each feature")
    kinds = [column.dtype == "category" for column in contract.columns]
    given = [kind == "c" for kind in learner.get("feature_types", [])]
    _require(not given or given == kinds, "its categorical features are not those of its contract")
    return groups


def _check_objective(objective: Mapping[str, Any], classes: int) -> None:
    name = objective.get("name")
    if name in _MULTI:
        of_objective = _number(_object(objective, "softmax_multiclass_param"), "num_class")
        _require(1 < classes == of_objective, "num_class is not a number of classes")
    else:
        _require(isinstance(name, str) and name in _SINGLE, "its objective is unknown")
        _require(classes <= 1, "an objective with one score a row has several classes")
    for part, values in objective.items():
        if part != "name":
            texts = list(values.values()) if isinstance(values, dict) else [None]
            plain = all(isinstance(text, str) and _PARAMETER.fullmatch(text) for text in texts)
            _require(plain, "a parameter of its objective is no text")


def _check_trees(model: Mapping[str, Any], groups: int, contract: Contract) -> int:
    """The number of trees."""
    trees, parameters = _list(model, "trees"), _object(model, "gbtree_model_param")
    of_tree, ends = _list(model, "tree_info"), _list(model, "iteration_indptr")
    count = len(trees)
    _require(_number(parameters, "num_trees") == count == len(of_tree), "num_trees is not the number of its trees")
    _require(_number(parameters, "num_parallel_tree") >= 1, "num_parallel_tree is not a number of trees")
    _require(all(type(group) is int and 0 <= group < groups for group in of_tree), "a tree belongs to no class")
    _require(
        all(type(end) is int for end in ends) and ends[:1] == [0] and ends[-1] == count and sorted(ends) == ends,
        "iteration_indptr does not divide its trees into rounds",
    )
    for part in _object(model, "cats").values() if "cats" in model else ():
        _require(_length_of(part) == 0, "it maps categories itself, which the contract does")
    for number, tree in enumerate(trees):
        _require(isinstance(tree, dict) and tree.get("id") == number, "a tree's id is not its position")
    if trees:
        _check_nodes(trees, contract)
    return count


def _check_nodes(trees: Sequence[Mapping[str, Any]], contract: Contract) -> None:
    """Check the nodes of all trees at once, each numbered from its tree's offset."""
    width = len(contract.names)
    sizes = np.array([_size_of(tree, width) for tree in trees], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    nodes: dict[str, Integers] = {
        name: np.concatenate([tree[name] for tree in trees]).astype(np.int64)
        for name in ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
    }
    left, right, parents = nodes["left_children"], nodes["right_children"], nodes["parents"]
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    inner = left != -1
    _require(bool(((right != -1) == inner).all()), "a node has one child")
    for child in (left, right):
        _require(bool(((child > 0) & (child < size))[inner].all()), "a child is no node")
    is_root = np.zeros(len(left), dtype=np.bool_)
    is_root[starts] = True
    _require(bool(np.isin(parents[is_root], _ROOT_PARENTS).all()), "a root has a parent")
    _require(bool(((parents >= 0) & (parents < size))[~is_root].all()), "a parent is no node")
    reached = _reached(starts, left + first, right + first, inner, parents + first)
    features, categorical = nodes["split_indices"], nodes["split_type"]
    _require(
        bool((features[inner & reached] < width).all() and (features[reached] >= 0).all()), "a split's feature is none"
    )
    _require(bool((features[~reached] == _DELETED).all()), "a node belongs to no tree")
    _require(bool((features[reached] < width).all()), "a node is deleted and used")
    deleted = np.add.reduceat(~reached, starts).tolist()
    of_file = [_number(_object(tree, "tree_param"), "num_deleted") for tree in trees]
    _require(deleted == of_file, "num_deleted is not the number of deleted nodes")
    _require(bool((nodes["default_left"] <= 1).all() and (categorical <= 1).all()), "a node's flag is neither 0 nor 1")
    _check_categories(trees, starts, features, inner & reached & (categorical == 1), contract)


def _size_of(tree: Mapping[str, Any], width: int) -> int:
    """The number of nodes of a tree, whose arrays all have their type and length."""
    parameters = _object(tree, "tree_param")
    size = _number(parameters, "num_nodes")
    _require(
        size >= 1 and _number(parameters, "num_feature") in (0, width),
        "a tree has no node, or another number of features",
    )
    _require(_number(parameters, "size_leaf_vector") <= 1, "a leaf has several values")
    for name, dtype in {**_NODE_ARRAYS, **_CATEGORY_ARRAYS}.items():
        array = tree.get(name)
        _require(isinstance(array, np.ndarray) and array.dtype == np.dtype(dtype), f"{name} has another type")
        _require(name in _CATEGORY_ARRAYS or len(tree[name]) == size, f"{name} does not have an element for each node")
    nodes = len(tree["categories_nodes"])
    _require(
        len(tree["categories_segments"]) == len(tree["categories_sizes"]) == nodes,
        "the categories' arrays differ in length",
    )
    return size


def _reached(
    roots: Integers, left: Integers, right: Integers, inner: npt.NDArray[np.bool_], parents: Integers
) -> npt.NDArray[np.bool_]:
    """The nodes that are below the roots, each once. Node numbers are those of all trees together."""
    reached = np.zeros(len(left), dtype=np.bool_)
    level, depth = roots, 0
    while len(level):
        _require(depth <= MAX_DEPTH, f"a tree is deeper than {MAX_DEPTH} levels")
        _require(not reached[level].any(), "a node is the child of two nodes")
        reached[level] = True
        below = level[inner[level]]
        level, depth = np.concatenate([left[below], right[below]]), depth + 1
        _require(len(np.unique(level)) == len(level), "a node is the child of two nodes")
        _require(bool((parents[level] == np.concatenate([below, below])).all()), "a node's parent is another node")
    return reached


def _check_categories(
    trees: Sequence[Mapping[str, Any]],
    starts: Integers,
    features: Integers,
    categorical: npt.NDArray[np.bool_],
    contract: Contract,
) -> None:
    """Check that exactly the reachable ``categorical`` splits have categories, all of them the contract's."""
    declared = np.array([len(column.categories) for column in contract.columns], dtype=np.int64)
    _require(bool((declared[features[categorical]] > 0).all()), "a split by categories is of a number")
    listed = np.zeros(len(categorical), dtype=np.bool_)
    for tree, start in zip(trees, starts.tolist(), strict=True):
        at, size = tree["categories_nodes"].astype(np.int64), len(tree["left_children"])
        if not len(at):
            continue
        begins, counts = (tree[f"categories_{name}"].astype(np.int64) for name in ("segments", "sizes"))
        values = tree["categories"].astype(np.int64)
        _require(
            bool((at >= 0).all() and (at < size).all() and (np.diff(at) > 0).all()), "a split by categories is no node"
        )
        within = (begins >= 0) & (begins <= len(values)) & (counts > 0) & (counts <= len(values) - begins)
        _require(bool(within.all()), "a split's categories are outside the list")
        listed[at + start] = True
        for node, begin, count in zip(at.tolist(), begins.tolist(), counts.tolist(), strict=True):
            if not categorical[node + start]:
                continue  # reported below
            most = int(declared[features[node + start]])
            mine = values[begin : begin + count]
            _require(bool((mine >= 0).all() and (mine < most).all()), "a category is none of the contract's")
    _require(bool((listed == categorical).all()), "a split by categories has none, or another one has some")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _Fault(what)


def _object(of: Any, name: str) -> Mapping[str, Any]:
    found = of.get(name) if isinstance(of, dict) else None
    if not isinstance(found, dict):
        raise _Fault(f"{name} is missing")
    return found


def _list(of: Mapping[str, Any], name: str) -> list[Any]:
    found = of.get(name)
    if isinstance(found, np.ndarray) and found.dtype.kind in "iu":
        return [int(value) for value in found]
    if not isinstance(found, list):
        raise _Fault(f"{name} is missing")
    return found


def _number(of: Mapping[str, Any], name: str) -> int:
    found = of.get(name)
    if not isinstance(found, str) or not _DIGITS.fullmatch(found):
        raise _Fault(f"{name} is no number")
    return int(found)


def _length_of(array: Any) -> int:
    return len(array) if isinstance(array, list | np.ndarray) else -1
