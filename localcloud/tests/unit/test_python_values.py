"""Conversion of a handler's values between Arrow and Python, for cases that SQL does not show."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from localcloud.snowflake.routines.python.worker import values


def _type(name: str, precision: int | None = None, scale: int | None = None, *, bigint: bool = False) -> dict[str, Any]:
    return {"name": name, "precision": precision, "scale": scale, "bigint": bigint}


@pytest.mark.parametrize(
    ("given", "type_", "kept"),
    [
        (2.5, _type("NUMBER", 38, 0, bigint=True), 3),
        (Decimal("1.005"), _type("NUMBER", 10, 2), Decimal("1.01")),
        (10**29, _type("NUMBER", 30, 0), Decimal(10**29)),
        (np.float64(1.5), _type("FLOAT"), 1.5),
        (np.int64(3), _type("NUMBER", 38, 0, bigint=True), 3),
        (datetime(2024, 1, 2, tzinfo=UTC), _type("TIMESTAMP_TZ"), datetime(2024, 1, 2, tzinfo=UTC)),
        ({"a": Decimal("1.5"), "b": np.array([1, 2])}, _type("VARIANT"), '{"a": 1.5, "b": [1, 2]}'),
        (values.SqlNull(), _type("VARIANT"), None),
    ],
)
def test_valid_results_are_converted(given: Any, type_: dict[str, Any], kept: Any) -> None:
    assert values.to_column([given], type_).to_pylist() == [kept]


@pytest.mark.parametrize(
    ("given", "type_"),
    [
        (True, _type("NUMBER", 38, 0, bigint=True)),
        (2**63, _type("NUMBER", 38, 0, bigint=True)),
        (Decimal(100), _type("NUMBER", 3, 1)),
        (datetime(2024, 1, 2), _type("TIMESTAMP_TZ")),
        (datetime(2024, 1, 2, tzinfo=UTC), _type("TIMESTAMP_NTZ")),
        (float("nan"), _type("VARIANT")),
        (object(), _type("VARIANT")),
        ([], _type("OBJECT")),
        ({}, _type("ARRAY")),
    ],
)
def test_invalid_results_are_rejected(given: Any, type_: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cannot convert the handler's result"):
        values.to_column([given], type_)


def test_a_wide_integer_is_an_int() -> None:
    column = pa.array([Decimal(10**29), None], pa.decimal128(30, 0))
    assert values.to_python(column, _type("NUMBER", 30, 0)) == [10**29, None]
