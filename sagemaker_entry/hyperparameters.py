"""Checks the hyperparameters of a training job, and converts them for XGBoost.

The pipeline file is checked with :func:`faults` when it is read, and the job checks again before it trains: XGBoost itself ignores
a name that it does not know.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sagemaker_entry.objectives import OBJECTIVES, OTHER_OBJECTIVES, Bounds, kind_of
from sagemaker_entry.parameters import PARAMETERS, REFUSED, REFUSED_VALUES, SAME, Parameter

_NO_CATEGORIES = "exact cannot use categories, which a view declares; write hist"

#: eval_metric by kind of objective; ``@`` marks those that take a number behind it.
_EVAL_METRICS = {
    "binary": ("logloss", "error", "error@", "auc", "aucpr"),
    "reg": ("rmse", "rmsle", "mae", "mape", "mphe", "gamma-nloglik", "gamma-deviance", "tweedie-nloglik@", "quantile"),
}

_MONOTONE = re.compile(r"\(\s*(-?[01]\s*(,\s*-?[01]\s*)*,?\s*)?\)")
_FLAGS = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}

#: SageMaker's limit on the length of a hyperparameter's value, in characters.
_MAX_TEXT = 2500

#: The largest 32-bit float, in which XGBoost holds numbers.
_LARGEST = 3.4e38

#: Characters of a wrong number in a message.
_SHOWN = 40


def faults(hyperparameters: Mapping[str, Any], *, categories: bool = False) -> Iterator[tuple[str, str]]:
    """(name, what is wrong and what to write) of each hyperparameter that cannot be used; none if all can.

    ``categories``: whether a feature is a category.
    """
    objective = str(hyperparameters.get("objective", "binary:logistic"))
    if objective not in OBJECTIVES:
        yield "objective", _objective_fault(objective)
        return
    sound = {}
    for name, value in hyperparameters.items():
        text = _fault(name, value)
        if text:
            yield name, text
        else:
            sound[name] = converted(name, value)
    yield from _pair_faults({"objective": objective, **sound}, categories)


def converted(name: str, value: Any) -> Any:
    """A sound value as XGBoost takes it: a number that YAML read as a text, such as ``1e-3``, becomes a number."""
    kind = PARAMETERS[name].kind
    if kind == "whole":
        return int(value)
    if kind == "number":
        return float(value)
    if kind == "flag":
        return _FLAGS[value]
    if name == "interaction_constraints":
        groups = json.loads(value)
        # Groups of names are converted by XGBoost's Python code, groups of positions by the library itself.
        return groups if any(isinstance(item, str) for group in groups for item in group) else json.dumps(groups)
    return value


def feature_fault(
    hyperparameters: Mapping[str, Any], names: tuple[str, ...], *, categories: bool
) -> tuple[str, str] | None:
    """A fault of sound hyperparameters that do not fit the features ``names``, in the matrix's order."""
    if categories and hyperparameters.get("tree_method") == "exact":
        return "tree_method", _NO_CATEGORIES
    monotone = str(hyperparameters.get("monotone_constraints", ""))
    count = len(re.findall(r"-?[01]", monotone))
    if count > len(names):
        return (
            "monotone_constraints",
            f"it has {count} entries, and there are {len(names)} features: {', '.join(names)}",
        )
    groups = json.loads(hyperparameters.get("interaction_constraints", "[]"))
    for item in (item for group in groups for item in group):
        known = item in names if isinstance(item, str) else 0 <= item < len(names)
        if not known:
            near = difflib.get_close_matches(str(item).upper(), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the features are {', '.join(names)}"
            return "interaction_constraints", f"{item} is not a feature; {hint}"
    return None


def _objective_fault(objective: str) -> str:
    if objective in OTHER_OBJECTIVES:
        return f"{objective} {OTHER_OBJECTIVES[objective]}"
    return f"{objective} is not supported; {_nearest(objective, OBJECTIVES)}"


def _nearest(text: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else f"write one of {', '.join(known)}"


def _fault(name: str, value: Any) -> str:
    """What is wrong with one hyperparameter by itself; empty if nothing is."""
    if name in REFUSED:
        return REFUSED[name]
    if name not in PARAMETERS:
        near = difflib.get_close_matches(name.lower(), PARAMETERS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see https://xgboost.readthedocs.io for those that it has"
        return f"XGBoost has no such hyperparameter; {hint}"
    parameter = PARAMETERS[name]
    if parameter.kind in ("number", "whole"):
        return _number_fault(parameter, value)
    if parameter.kind == "flag":
        sound = isinstance(value, bool | int | str) and value in _FLAGS
        return "" if sound else f"write true or false, not {value}"
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return f"must be a text of at most {_MAX_TEXT} characters, in quotes"
    if (name, value) in REFUSED_VALUES:
        return REFUSED_VALUES[name, value]
    if parameter.kind == "choice":
        return "" if value in parameter.choices else f"{value} is not known; {_nearest(value, parameter.choices)}"
    if name == "monotone_constraints":
        sound = _MONOTONE.fullmatch(value.strip()) is not None
        return "" if sound else 'write one of 1, 0 and -1 for each feature, in the order of the features: "(1, 0, -1)"'
    return _interaction_fault(value) if name == "interaction_constraints" else ""


def _number_fault(parameter: Parameter, value: Any) -> str:
    whole = parameter.kind == "whole"
    wanted = ", ".join(filter(None, ("a whole number" if whole else "a number", str(parameter.bounds))))
    try:
        number = (
            math.nan if isinstance(value, bool) else int(value) if whole and isinstance(value, str) else float(value)
        )
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if whole and math.isfinite(number) and not isinstance(value, str | int):
        hint = f"; write {int(number)}" if number == int(number) and parameter.bounds.hold(number) else ""
        return f"must be {wanted}, not {value}{hint}"
    sound = abs(number) <= _LARGEST and parameter.bounds.hold(number)
    return "" if sound else f"must be {wanted}, not {str(value)[:_SHOWN]}"


def _interaction_fault(value: str) -> str:
    try:
        groups = json.loads(value)
    except json.JSONDecodeError:
        groups = None
    sound = isinstance(groups, list) and all(
        isinstance(group, list) and group and (set(map(type, group)) <= {int} or set(map(type, group)) == {str})
        for group in groups
    )
    kinds = {type(item) for group in groups for item in group} if sound else set()
    return (
        ""
        if sound and len(kinds) <= 1
        else """write the features that may interact, in groups: '[["A", "B"], ["C"]]'"""
    )


def _pair_faults(given: Mapping[str, Any], categories: bool) -> Iterator[tuple[str, str]]:
    """Faults of sound values that do not go together."""
    defaults = {"booster": "gbtree", "tree_method": "hist"}
    for name in given:
        if (needed := PARAMETERS[name].given) is not None:
            key, allowed = needed
            present = given.get(key, defaults.get(key))
            if present not in allowed:
                yield name, f"has no effect with {key}: {present}; leave it out, or write {key}: {allowed[0]}"
    for one, other in SAME:
        if one in given and other in given:
            yield other, f"is another name of {one}, which is given too; leave one of them out"
    objective = given["objective"]
    if objective == "reg:quantileerror" and "quantile_alpha" not in given:
        yield "objective", "reg:quantileerror needs the quantile to predict; add quantile_alpha: 0.5"
    yield from _eval_metric_faults(given)
    if "base_score" in given and (bounds := _base_scores(objective)) and not bounds.hold(given["base_score"]):
        yield "base_score", f"must be a number, {bounds}, for {objective}, not {given['base_score']:g}"
    if given.get("tree_method") == "exact":
        yield from _exact_faults(given, categories)


def _base_scores(objective: str) -> Bounds | None:
    if objective in ("binary:logistic", "reg:logistic"):
        return Bounds(0, 1, "()")
    return Bounds(0, open_="(") if objective in ("reg:gamma", "reg:tweedie") else None


def _eval_metric_faults(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "eval_metric" not in given:
        return
    metric, known = given["eval_metric"], _EVAL_METRICS[kind_of(given["objective"])]
    name, at, threshold = metric.partition("@")
    if name + at not in known:
        shown = tuple(f"{item}1.5" if item == "tweedie-nloglik@" else item for item in known if item != "error@")
        yield "eval_metric", f"{metric} does not measure {given['objective']}; {_nearest(metric, shown)}"
    elif at and not _is_number(threshold, Bounds(1, 2, ")") if name.startswith("tweedie") else Bounds(0, 1)):
        yield "eval_metric", f"{metric} needs a number behind the @, such as {name}@{1.5 if 'tweedie' in name else 0.7}"
    elif metric == "quantile" and given["objective"] != "reg:quantileerror":
        yield "eval_metric", "quantile measures reg:quantileerror only; write mae"


def _is_number(text: str, bounds: Bounds) -> bool:
    try:
        return bounds.hold(float(text))
    except ValueError:
        return False


def _exact_faults(given: Mapping[str, Any], categories: bool) -> Iterator[tuple[str, str]]:
    if categories:
        yield "tree_method", _NO_CATEGORIES
    if given.get("max_depth") == 0:
        yield "max_depth", "tree_method: exact needs a limit; write a number of at least 1, or tree_method: hist"
    if given.get("sampling_method") == "gradient_based":
        yield "sampling_method", "gradient_based needs tree_method: hist or approx"
