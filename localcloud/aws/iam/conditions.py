"""Conditions of IAM policies: whether a statement's ``Condition`` holds for the context values of a request.

As IAM documents, a missing key fails an operator, and satisfies a negated operator (``StringNotEquals``) or one with ``IfExists``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.aws.http.protocol import AwsError

Context = Mapping[str, list[str]]
Test = Callable[[str, str], bool]


def _like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _same(value: str, wanted: str) -> bool:
    return value == wanted


_TESTS: dict[str, Test] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _like,  # IAM treats ArnEquals and ArnLike alike
    "ArnLike": _like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
    "NumericLessThan": lambda value, wanted: float(value) < float(wanted),
    "NumericLessThanEquals": lambda value, wanted: float(value) <= float(wanted),
    "NumericGreaterThan": lambda value, wanted: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda value, wanted: float(value) >= float(wanted),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def keys(condition: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The context keys of a condition, in lower case."""
    return {key.lower() for tests in condition.values() for key in tests}


def holds(condition: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether all operators hold for all keys; one of several values is enough. ``context``: keys in lower case."""
    return all(
        _holds(operator, wanted if isinstance(wanted, list) else [wanted], context.get(key.lower()))
        for operator, tests in condition.items()
        for key, wanted in tests.items()
    )


def _holds(operator: str, wanted: list[Any], values: list[str] | None) -> bool:
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in wanted]
    if operator == "Null":
        return (values is None) == (texts == ["true"])
    plain = operator.removesuffix("IfExists")
    negated = plain in _NEGATED
    test = _TESTS.get(_NEGATED.get(plain, plain))
    if test is None:
        raise AwsError("InvalidInput", f"The local AWS does not support the condition operator {operator}.")
    if values is None:
        return negated or operator != plain
    try:
        met = any(test(value, text) for value in values for text in texts)
    except ValueError:  # not a number
        return False
    return not met if negated else met
