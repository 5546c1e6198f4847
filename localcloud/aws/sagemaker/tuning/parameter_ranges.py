"""Parameter ranges of a tuning job: points of the unit cube as hyperparameters, and hyperparameters as features of a model.

Hyperparameters are texts. Scaling type Auto means Linear, because AWS does not document how it chooses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from localcloud.aws.http.protocol import Params, ValidationException, unsupported


class Range(Protocol):
    """One hyperparameter's range."""

    @property
    def name(self) -> str:
        """The hyperparameter's name."""

    def at(self, unit: float) -> str:
        """The value at ``unit``, in [0, 1)."""

    def unit(self, text: str) -> float:
        """The position of a value in [0, 1); ValueError if it is not in the range."""

    def features(self, text: str) -> list[float]:
        """The value as features in [0, 1], for a model that compares distances."""


@dataclass(frozen=True)
class NumericRange:
    """Integers (``whole``) or floats from ``low`` to ``high``, both included."""

    name: str
    low: float
    high: float
    scaling: str
    whole: bool

    def at(self, unit: float) -> str:
        start, end = self._scaled(self.low), self._scaled(self._end)
        value = self._unscaled(start + unit * (end - start))
        if self.whole:
            return str(int(min(max(math.floor(value), self.low), self.high)))
        return repr(min(max(value, self.low), self.high))

    def unit(self, text: str) -> float:
        value = float(text)
        if not self.low <= value <= self.high:
            raise ValueError(f"{text} is not in the range of {self.name}")
        start, end = self._scaled(self.low), self._scaled(self._end)
        return (self._scaled(value) - start) / (end - start) if end > start else 0.0

    def features(self, text: str) -> list[float]:
        return [self.unit(text)]

    @property
    def _end(self) -> float:
        # With high + 1 every integer is equally likely in a linear range.
        return self.high + 1 if self.whole else self.high

    def _scaled(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.log(value)
        return -math.log1p(-value) if self.scaling == "ReverseLogarithmic" else value

    def _unscaled(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.exp(value)
        return -math.expm1(-value) if self.scaling == "ReverseLogarithmic" else value


@dataclass(frozen=True)
class CategoricalRange:
    """A choice among ``values``."""

    name: str
    values: tuple[str, ...]

    def at(self, unit: float) -> str:
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def unit(self, text: str) -> float:
        return (self.values.index(text) + 0.5) / len(self.values)

    def features(self, text: str) -> list[float]:
        chosen = self.values.index(text)
        return [float(number == chosen) for number in range(len(self.values))]


class Space:
    """All ranges of one training job definition."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.ranges = list(ranges)

    def at(self, units: Sequence[float]) -> dict[str, str]:
        """The hyperparameters at a point of the unit cube."""
        return {item.name: item.at(float(unit)) for item, unit in zip(self.ranges, units, strict=True)}

    def units(self, values: dict[str, str]) -> list[float]:
        """The point of the unit cube for ``values``."""
        return [item.unit(values[item.name]) for item in self.ranges]

    def features(self, values: dict[str, str]) -> list[float]:
        """Features for a model; ValueError or KeyError for values outside of this space."""
        return [number for item in self.ranges for number in item.features(values[item.name])]

    def grid(self) -> Iterator[dict[str, str]]:
        """Every combination of categories; the last hyperparameter changes fastest."""
        categories = [item for item in self.ranges if isinstance(item, CategoricalRange)]
        for combination in itertools.product(*(item.values for item in categories)):
            yield {item.name: value for item, value in zip(categories, combination, strict=True)}

    @property
    def only_categories(self) -> bool:
        """Whether all ranges are categorical, which Grid requires."""
        return all(isinstance(item, CategoricalRange) for item in self.ranges)


def read_space(ranges: Params) -> Space:
    """The space of ``ParameterRanges``; raises :class:`ValidationException` for ranges that are not valid."""
    if ranges.get("AutoParameters"):
        raise unsupported("ranges chosen by Autotune (AutoParameters)")
    found: list[Range] = []
    for item in ranges.get("IntegerParameterRanges", []):
        found.append(_numbers(item, int))
    for item in ranges.get("ContinuousParameterRanges", []):
        found.append(_numbers(item, float))
    for item in ranges.get("CategoricalParameterRanges", []):
        found.append(CategoricalRange(item["Name"], tuple(item["Values"])))
    names = [item.name for item in found]
    if not names:
        raise ValidationException("At least one hyperparameter range is required.")
    if len(set(names)) < len(names):
        raise ValidationException("A hyperparameter can have one range only.")
    return Space(found)


def _numbers(item: Params, read: Callable[[str], float]) -> NumericRange:
    name = item["Name"]
    try:
        low, high = read(item["MinValue"]), read(item["MaxValue"])
    except ValueError as error:
        raise ValidationException(f"The range of hyperparameter {name} is not numeric: {error}.") from error
    scaling = item.get("ScalingType", "Auto")
    if not low <= high:
        raise ValidationException(f"MinValue of hyperparameter {name} must not be greater than its MaxValue.")
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(f"Logarithmic scaling of hyperparameter {name} needs values greater than 0.")
    if scaling == "ReverseLogarithmic" and (read is int or not (low >= 0 and high < 1)):
        raise ValidationException(
            f"Reverse logarithmic scaling of hyperparameter {name} needs a continuous range within 0 <= x < 1.0."
        )
    return NumericRange(name, low, high, scaling, whole=read is int)
