"""Encoding of raw values to a float32 matrix: rows and columns give the same matrix, NULL is NaN, and no value is guessed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_entry import dense, model
from sagemaker_entry.contract import Column, Contract, ContractViolation
from sagemaker_entry.model import encode_columns

NUMBERS = Contract((Column("A"), Column("B")), key=("ID",), label="L")
MIXED = Contract((Column("A"), Column("C", "category", ("web", "store"))), key=("ID",), label="L")

NUMBER = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(width=32, allow_infinity=False),
    st.just(float("nan")),
)
CATEGORY = st.sampled_from([None, "web", "store"])


def encode_rows(contract: Contract, rows: list[Any]) -> np.ndarray:
    """The matrix of valid rows. Raises ContractViolation with the first fault."""
    matrix, unfit = model.encode_rows(contract, rows)
    if unfit:
        raise ContractViolation(unfit[min(unfit)])
    return matrix


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.array_equal(np.isnan(one), np.isnan(other))) and bool(
        np.array_equal(np.nan_to_num(one), np.nan_to_num(other))
    )  # fmt: skip


@given(st.lists(st.tuples(NUMBER, NUMBER), max_size=20))
def test_rows_and_columns_make_the_same_matrix(rows: list[tuple[Any, ...]]) -> None:
    by_row = encode_rows(NUMBERS, rows)
    by_column = encode_columns(NUMBERS, {"A": [row[0] for row in rows], "B": [row[1] for row in rows]})
    assert (by_row.dtype, by_column.dtype) == (np.float32, np.float32)
    assert same_bits(by_row, by_column)


@given(st.lists(st.tuples(NUMBER, CATEGORY), min_size=1, max_size=20))
def test_rows_and_columns_with_categories_make_the_same_matrix(rows: list[tuple[Any, ...]]) -> None:
    by_column = encode_columns(MIXED, {"A": [row[0] for row in rows], "C": [row[1] for row in rows]})
    assert same_bits(encode_rows(MIXED, rows), by_column)


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=1, max_size=20))
def test_arrays_and_lists_make_the_same_matrix(values: list[float]) -> None:
    wide = np.array(values, dtype=np.float64)
    assert same_bits(
        encode_columns(NUMBERS, {"A": values, "B": values}), encode_columns(NUMBERS, {"A": wide, "B": wide})
    )


def test_columns_are_reordered_to_the_contracts_order() -> None:
    assert encode_columns(NUMBERS, {"B": [2], "A": [1]}).tolist() == [[1.0, 2.0]]
    assert encode_columns(NUMBERS, {"B": [2], "A": [1]}).flags.c_contiguous


def test_nulls_become_nan_and_booleans_become_numbers() -> None:
    matrix = encode_rows(NUMBERS, [(None, float("nan")), (True, False)])
    assert np.isnan(matrix[0]).all()
    assert matrix[1].tolist() == [1.0, 0.0]


def test_the_code_of_a_category_is_its_position() -> None:
    matrix = encode_columns(MIXED, {"A": [0, 0, 0], "C": np.array(["store", None, "web"], dtype=object)})
    assert matrix[[0, 2], 1].tolist() == [1.0, 0.0]
    assert np.isnan(matrix[1, 1])


@pytest.mark.parametrize("value", [2**53 + 1, 2**100, -(2**70), Decimal("12.5"), np.int64(7), np.float32(1.5)])
def test_large_and_decimal_numbers_are_rounded_to_float32(value: Any) -> None:
    expected = np.float32(float(value))
    assert encode_rows(NUMBERS, [(value, 1)])[0, 0] == expected
    assert encode_columns(NUMBERS, {"A": [value], "B": [1]})[0, 0] == expected


def test_no_rows_make_an_empty_matrix() -> None:
    assert encode_rows(NUMBERS, []).shape == (0, 2)
    assert encode_columns(NUMBERS, {"A": [], "B": []}).shape == (0, 2)


@pytest.mark.parametrize("value", [1e39, -1e39, float("inf"), float("-inf"), 2**200])
def test_a_value_beyond_float32_is_rejected_with_its_column_name(value: float) -> None:
    for refused in (
        lambda: encode_rows(NUMBERS, [(1, 1), (1, value)]),
        lambda: encode_columns(NUMBERS, {"A": [1], "B": [value]}),
        lambda: encode_columns(NUMBERS, {"A": np.array([1.0]), "B": np.array([float(value)])}),
    ):
        with pytest.raises(ContractViolation, match="feature B"):
            refused()


def test_the_error_for_an_array_says_that_it_is_too_wide() -> None:
    with pytest.raises(ContractViolation, match="feature B has a value that is infinite or beyond the range"):
        encode_columns(NUMBERS, {"A": np.array([1.0]), "B": np.array([1e39])})


@pytest.mark.parametrize("encode", ["rows", "columns"])
def test_the_error_says_that_the_value_is_too_wide(encode: str) -> None:
    with pytest.raises(ContractViolation, match="feature B has a value that is infinite or beyond the range"):
        encode_rows(NUMBERS, [(1, 1e39)]) if encode == "rows" else encode_columns(NUMBERS, {"A": [1], "B": [1e39]})


@pytest.mark.parametrize("value", ["12", "abc", "", b"12", [1], {"a": 1}, (1, 2), object()])
def test_a_column_with_a_value_that_is_no_number_is_rejected(value: Any) -> None:
    with pytest.raises(ContractViolation, match="feature A must be a number or NULL in every row") as caught:
        encode_columns(NUMBERS, {"A": [1, value], "B": [1, 1]})
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("value", ["abc", "", [1], {"a": 1}, (1, 2), object()])
def test_a_row_with_a_value_that_is_no_number_is_rejected(value: Any) -> None:
    with pytest.raises(ContractViolation, match="feature A must be a number or NULL") as caught:
        encode_rows(NUMBERS, [(1, 1), (value, 1)])
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("value", ["12", "1e3", " 7 ", "nan", "inf", b"12"])
def test_a_numeric_string_in_a_row_is_rejected(value: Any) -> None:
    with pytest.raises(ContractViolation, match="feature A must be a number or NULL"):
        encode_rows(NUMBERS, [(value, 1)])


def test_a_number_beyond_double_in_a_row_is_rejected() -> None:
    with pytest.raises(ContractViolation, match="feature A"):
        encode_rows(NUMBERS, [(10**400, 1)])


@pytest.mark.parametrize("rows", [[(1, 2, 3)], [(1,)], [(1, 2), (1,)]])
def test_rows_of_another_width_are_rejected(rows: list[Any]) -> None:
    with pytest.raises(ContractViolation):
        encode_rows(NUMBERS, rows)


@pytest.mark.parametrize("rows", [[([1], [2])], [((1, 2), (3, 4))], [({}, 1)]])
def test_nested_values_are_rejected(rows: list[Any]) -> None:
    with pytest.raises(ContractViolation, match="feature A must be a number"):
        encode_rows(NUMBERS, rows)


@pytest.mark.parametrize("value", ["kiosk-7", "", "WEB", 0, True, float("nan"), ["web"]])
def test_an_unseen_category_is_rejected_without_showing_its_value(value: Any) -> None:
    for refused in (
        lambda: encode_rows(MIXED, [(1, value)]),
        lambda: encode_columns(MIXED, {"A": [1], "C": [value]}),
    ):
        with pytest.raises(ContractViolation) as caught:
            refused()
        assert str(caught.value) == "feature C has a value outside its 2 declared categories"


ROWS = st.lists(
    st.tuples(
        NUMBER | st.sampled_from([1e39, -1e300, 2**2000, "7", "", [1], {"a": 1}]),
        CATEGORY | st.sampled_from(["gold", 1, True, 0.0, ["web"], {}]),
    ),
    max_size=12,
)


@given(ROWS)
def test_an_invalid_row_does_not_change_the_others(rows: list[tuple[Any, Any]]) -> None:
    matrix, unfit = model.encode_rows(MIXED, rows)
    alone = [model.encode_rows(MIXED, [row]) for row in rows]
    assert unfit == {at: said[0] for at, (_, said) in enumerate(alone) if said}
    for at, (line, said) in enumerate(alone):
        assert said or same_bits(matrix[at : at + 1], line)


def test_a_row_is_reported_with_its_first_invalid_column() -> None:
    _, unfit = model.encode_rows(NUMBERS, [(1, 1), ("x", 1e39), (1, 1e39), (None, "x")])
    assert unfit == {
        1: "feature A must be a number or NULL",
        2: "feature B has a value that is infinite or beyond the range of a 32-bit float",
        3: "feature B must be a number or NULL",
    }


def test_missing_and_unknown_columns_are_named() -> None:
    with pytest.raises(ContractViolation, match="missing: B; unknown: Z"):
        encode_columns(NUMBERS, {"A": [1], "Z": [1]})


@pytest.mark.parametrize(
    "params", [{"objective": "binary:logistic"}, {"objective": "multi:softprob", "num_class": 3}, {"objective": "reg:squarederror"}]
)  # fmt: skip
def test_predictions_equal_inplace_predict_bit_for_bit_at_any_size_and_in_many_threads(params: dict[str, Any]) -> None:
    chance = np.random.default_rng(5)
    matrix = chance.normal(size=(3000, 6)).astype(np.float32)
    matrix[chance.random(matrix.shape) < 0.1] = np.nan
    label = chance.integers(0, 3 if "num_class" in params else 2, 3000)
    booster = xgboost.train({**params, "max_depth": 4, "nthread": 1}, xgboost.DMatrix(matrix, label), 20)
    parts = [matrix[start : start + size] for start, size in ((0, 3000), (5, 1), (9, 700), (0, 2), (2999, 1), (0, 64))]
    wanted = [booster.inplace_predict(np.ascontiguousarray(part)) for part in parts]

    def same(_: int) -> bool:
        found = [dense.predict(booster, np.ascontiguousarray(part)) for part in parts]
        return all(one.tobytes() == other.tobytes() for one, other in zip(found, wanted, strict=True))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(same, range(64)))


def test_times_are_no_numbers() -> None:
    for values in (np.array(["2026-01-01", "NaT"], "datetime64[us]"), np.array([1, 2], "timedelta64[s]")):
        with pytest.raises(ContractViolation, match="feature A must be a number or NULL in every row"):
            encode_columns(NUMBERS, {"A": values, "B": [1, 2]})
