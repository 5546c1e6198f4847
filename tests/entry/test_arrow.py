"""Record batches are encoded and scored to the bits that rows give, whatever the types and the layout in memory."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_entry.arrow import prediction
from sagemaker_entry.arrow.columns import Columns
from sagemaker_entry.contract import Column, Contract, ContractViolation
from sagemaker_entry.forest.choice import Predictor
from sagemaker_entry.model import Model, encode_rows
from tests.support.boosters import train

NUMBER, CATEGORY = Column("A"), Column("A", "category", ("web", "store", "", "päckchen"))
LENIENT = replace(CATEGORY, unknown="null")
WIDE = st.floats() | st.floats(width=32) | st.sampled_from([3.4028235677973366e38, 3.4028235677973362e38, -1e39, -0.0])
TEXT = st.sampled_from(["web", "store", "", "päckchen", "kiosk", "päck"])


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    edges = st.sampled_from([value for value in (0, 1, 2**53, 2**53 + 1, 2**63 + 1, most) if value <= most])
    return (st.integers(-most, most) | edges | edges.map(lambda value: -value)).map(
        lambda value: Decimal((value < 0, tuple(map(int, str(abs(value)))), -scale))
    )


#: Values by Arrow's type, for a number and for a category.
NUMBERS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.float64(): WIDE,
    pa.float32(): st.floats(width=32),
    pa.float16(): st.floats(width=16),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, 2**24 + 1, 2**60 + 2**36 + 1]),
    pa.uint64(): st.integers(0, 2**64 - 1),
    **{
        pa.decimal128(precision, scale): decimals(precision, scale)
        for precision, scale in ((1, 0), (9, 2), (18, 18), (20, 3), (38, 0), (38, 37), (25, 24))
    },
    pa.decimal256(76, 10): decimals(76, 10),
    pa.decimal256(76, 0): decimals(76, 0),
    pa.null(): st.none(),
    pa.string(): TEXT,
    pa.dictionary(pa.int8(), pa.float64()): WIDE,
    pa.dictionary(pa.int32(), pa.string()): TEXT,
    pa.binary(): st.binary(max_size=2),
    pa.timestamp("us"): st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
    pa.date32(): st.dates(),
    pa.list_(pa.float64()): st.lists(st.floats(), max_size=2),
}
CATEGORIES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.string_view(): TEXT,
    pa.dictionary(pa.int8(), pa.string()): TEXT,
    pa.dictionary(pa.int32(), pa.string()): TEXT,
    pa.dictionary(pa.int32(), pa.large_string()): TEXT,
    pa.null(): st.none(),
    pa.float64(): st.floats(allow_nan=False),
    pa.int64(): st.integers(0, 3),
    pa.bool_(): st.booleans(),
    pa.binary(): st.sampled_from([b"web", b"x"]),
    pa.dictionary(pa.int32(), pa.int64()): st.integers(0, 3),
}


@dataclass(frozen=True)
class Drawn:
    """Columns of a contract as Arrow has them, and the same values by row."""

    contract: Contract
    table: pa.Table
    rows: list[tuple[Any, ...]]


#: Each type that is tried, with the column that it is for and its values.
KINDS = [
    *((NUMBER, *kind) for kind in NUMBERS.items()),
    *((column, *kind) for column in (CATEGORY, LENIENT) for kind in CATEGORIES.items()),
]


@st.composite
def tables(draw: st.DrawFn, *kinds: Any) -> Drawn:
    """Columns of the given types: some with NULL or nothing else, cut out of longer arrays, in chunks."""
    rows = draw(st.integers(0, 200))
    columns, arrays = [], []
    for number, (column, kind, drawn) in enumerate(kinds):
        few = draw(st.lists(drawn, min_size=1, max_size=5))
        some = draw(st.sampled_from([few, [*few, None], [None], [None] * 9 + few]))
        before, after = draw(st.integers(0, 70)), draw(st.integers(0, 9))
        chance = np.random.default_rng(draw(st.integers(0, 2**32)))
        mine = [some[at] for at in chance.integers(0, len(some), before + rows + after)]
        whole = made(mine, kind)
        cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=2)))
        pieces = zip([0, *cuts], [*cuts, rows], strict=True)
        arrays.append(pa.chunked_array([whole.slice(before + a, b - a) for a, b in pieces], kind))
        columns.append(replace(column, name=f"F{number}"))
    contract = Contract(tuple(columns), ("ID",), "Y")
    table = pa.table(arrays, names=list(contract.names))
    return Drawn(contract, table, list(zip(*(column.to_pylist() for column in table.columns), strict=True)))


def made(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An array, with memory that is no number where it is NULL."""
    if pa.types.is_dictionary(kind):
        distinct = list(dict.fromkeys(value for value in values if value is not None))
        codes = [None if value is None else distinct.index(value) for value in values]
        texts = pa.array(distinct, kind.value_type)
        return pa.DictionaryArray.from_arrays(pa.array(codes, kind.index_type), texts)
    array = pa.array(values, kind)
    if kind == pa.float64() and array.null_count:
        filled = np.array([np.inf if value is None else value for value in values])
        return pa.Array.from_buffers(kind, len(values), [array.buffers()[0], pa.py_buffer(filled)])
    return array


def plain(value: Any) -> Any:
    """As a row has it: Snowflake's rows hold no decimals, and no times."""
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, dt.date) else value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0].dtype} {kind[0].unknown} of {kind[1]}")
@settings(max_examples=25)
@given(st.data())
def test_a_batch_is_encoded_as_its_rows_are(kind: Any, data: st.DataObject) -> None:
    drawn = data.draw(tables(kind, data.draw(st.sampled_from(KINDS))))
    expected, faults = encode_rows(drawn.contract, [tuple(map(plain, row)) for row in drawn.rows])
    columns = Columns.of(drawn.contract, drawn.table)
    unfit = np.zeros(len(drawn.rows), np.uint32)
    matrix = prediction.encode(columns, unfit)
    assert {row: columns.reasons[unfit[row] - 1] for row in np.flatnonzero(unfit).tolist()} == faults
    fit = unfit == 0
    assert (matrix.dtype, matrix.flags.c_contiguous) == (np.float32, True)
    missing = np.isnan(expected[fit])
    np.testing.assert_array_equal(np.isnan(matrix[fit]), missing)
    bits = (found[fit][~missing].view(np.uint32) for found in (matrix, expected))
    np.testing.assert_array_equal(*bits)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([Decimal("0.1"), None, Decimal("123456789012345678901234.5678")]), [0.1, None, 1.2345679e23]),
        (pa.array([1, 2**53 + 1, None]), [1, 2**53, None]),
        (pa.array([True, None, False]), [1, None, 0]),
        (pa.nulls(3, pa.timestamp("us")), [None, None, None]),
        (pa.nulls(3), [None, None, None]),
        (pa.array([1.5, float("nan"), None]), [1.5, None, None]),
    ],
)
def test_numbers_of_every_type_become_the_nearest_float32(array: pa.Array, expected: list[float | None]) -> None:
    unfit = np.zeros(3, np.uint32)
    columns = Columns.of(Contract((NUMBER,), ("ID",), "Y"), pa.record_batch({"A": array, "ID": [1, 2, 3]}))
    matrix = prediction.encode(columns, unfit)
    np.testing.assert_array_equal(matrix[:, 0], np.array(expected, np.float64).astype(np.float32))
    assert not unfit.any()


def test_rows_without_a_feature_are_refused_by_its_name() -> None:
    with pytest.raises(ContractViolation, match="lack the columns A"):
        Columns.of(Contract((NUMBER, Column("B")), ("ID",), "Y"), pa.record_batch({"B": [1.0]}))


@pytest.fixture(scope="module", params=["binary:logistic", "multi:softprob", "multi:softmax"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("model")
    trained = train(objective=request.param, categories=2, max_cat_to_onehot=2)
    Model(trained.booster, trained.contract).save(folder)
    return Model.load(folder, threads=2)


def batch(model: Model, rows: int) -> tuple[pa.RecordBatch, np.ndarray]:
    """Random rows as the export writes them, and their matrix."""
    chance = np.random.default_rng(1)
    arrays, matrix = [], np.empty((rows, len(model.contract.names)), np.float32)
    for number, column in enumerate(model.contract.columns):
        null = chance.random(rows) < 0.1
        if column.categories:
            codes = chance.integers(0, len(column.categories), rows)
            arrays.append(pa.array(np.array(column.categories, object)[codes], pa.string(), mask=null))
            matrix[:, number] = np.where(null, np.nan, codes)
        else:
            values = chance.normal(size=rows)
            arrays.append(pa.array(values, mask=null))
            matrix[:, number] = np.where(null, np.nan, values)
    return pa.record_batch(arrays, names=list(model.contract.names)), matrix


@pytest.mark.parametrize("rows", [1, 3, 255, 257, 20_001])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_batch_has_the_scores_of_its_matrix(model: Model, rows: int, compiled: bool) -> None:
    scoring = model if compiled else replace(model, predictor=Predictor())
    found, matrix = batch(model, rows)
    predicted = prediction.predict(scoring, Columns.of(model.contract, found))
    expected = model.predict(matrix)
    np.testing.assert_array_equal(predicted.scores.view(np.uint32), np.ascontiguousarray(expected).view(np.uint32))
    assert predicted.counts() == {}
    predicted.refuse_unfit()


def test_no_rows_have_no_scores(model: Model) -> None:
    assert len(prediction.predict(model, Columns.of(model.contract, batch(model, 0)[0])).scores) == 0


@pytest.mark.parametrize("compiled", [True, False])
def test_an_unfit_row_is_marked_with_its_first_unfit_column_and_changes_no_other(model: Model, compiled: bool) -> None:
    scoring = model if compiled else replace(model, predictor=Predictor())
    found, matrix = batch(model, 20_001)
    names = list(model.contract.names)
    texts, numbers = found.column(0).to_pylist(), found.column(5).to_pylist()
    texts[7] = texts[20_000] = "other"
    numbers[7], numbers[9_000], numbers[19_000] = 1e39, float("inf"), float("-inf")
    arrays = [pa.array(texts), *found.columns[1:5], pa.array(numbers), *found.columns[6:]]
    predicted = prediction.predict(scoring, Columns.of(model.contract, pa.record_batch(arrays, names=names)))
    assert {row: int(predicted.unfit[row]) for row in np.flatnonzero(predicted.unfit)} == {
        7: 1,
        9_000: 6,
        19_000: 6,
        20_000: 1,
    }
    assert predicted.counts() == {
        "feature F0 has a value outside its 40 declared categories": 2,
        "feature F5 has a value that is infinite or beyond the range of a 32-bit float": 2,
    }
    fit = predicted.unfit == 0
    expected = np.ascontiguousarray(model.predict(matrix)[fit])
    np.testing.assert_array_equal(np.ascontiguousarray(predicted.scores[fit]).view(np.uint32), expected.view(np.uint32))
    with pytest.raises(ContractViolation, match="feature F0 has a value outside"):
        predicted.refuse_unfit()


def test_a_batch_of_another_width_is_refused(model: Model) -> None:
    contract = Contract((Column("A"),), ("ID",), "Y")
    with pytest.raises(ContractViolation, match="a matrix of 8 features is needed"):
        prediction.predict(model, Columns.of(contract, pa.record_batch({"A": [1.0]})))
