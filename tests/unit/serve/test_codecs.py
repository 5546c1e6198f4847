"""The two wire formats: rows keep their order, columns follow the contract, and errors name rows and columns without values."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.body import TooLarge
from app.serve.codecs.columns import ContractMismatch, columns_of, positions
from app.serve.codecs.signature import Signature, parse
from app.serve.rows import Rows, Scored
from sagemaker_entry.contract import Column, Contract, ContractViolation

from .fakes import CONTRACT, live_version

LIVE = live_version()
KEYED = live_version(key="CUSTOMER_ID")
ONE = live_version(contract=Contract((Column("SPENT"),), key=("CUSTOMER_ID",), label="CHURNED"))
MIXED = live_version(
    contract=Contract((Column("SPENT"), Column("PLAN", "category", ("free", "paid"))), ("CUSTOMER_ID",), "CHURNED")
)

numbers = (
    st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.none()
    | st.booleans()
)
tables = st.lists(st.tuples(numbers, numbers, numbers), max_size=20)


def decode_batch(body: bytes, live: Any, signature: Signature | None) -> np.ndarray:
    return snowflake.decode_batch(body, live, signature).matrix


def decode_named(body: bytes, live: Any) -> np.ndarray:
    return named_rows.decode(body, live, {}).matrix


def encode_batch(scores: np.ndarray) -> bytes:
    return snowflake.encode_reply(Scored(scores), Rows(np.empty((len(scores), 3))), LIVE).body


def batch(rows: Any) -> bytes:
    return orjson.dumps({"data": [[number, *row] for number, row in enumerate(rows)]}) if rows else b'{"data":[]}'


def expected(rows: Any) -> np.ndarray:
    wide = [[np.nan if value is None else float(value) for value in row] for row in rows]
    return np.array(wide, dtype=np.float64).astype(np.float32).reshape(len(rows), -1)


def writable(rows: Any) -> Any:
    """orjson writes no integer beyond 64 bits; as a float it is the same JSON number to every reader in these tests."""
    return [[float(v) if type(v) is int and abs(v) >= 2**63 else v for v in row] for row in rows]


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype == np.float32 and left.tobytes() == right.tobytes()


@given(tables)
def test_typed_rows_keep_values_nulls_and_order(rows: Any) -> None:
    matrix = decode_batch(batch(writable(rows)), LIVE, None)
    assert same(matrix, expected(rows) if rows else np.empty((0, 3), np.float32))


@given(tables, st.permutations(CONTRACT.names))
def test_the_signature_defines_the_order_of_arguments(rows: Any, order: list[str]) -> None:
    signature = parse("(" + ", ".join(f"{name} FLOAT" for name in order) + ")")
    shuffled = [[row[CONTRACT.names.index(name)] for name in order] for row in writable(rows)]
    assert same(decode_batch(batch(shuffled), LIVE, signature), decode_batch(batch(writable(rows)), LIVE, None))


@given(tables, st.randoms())
def test_objects_match_by_name_in_any_order(rows: Any, chance: random.Random) -> None:
    def named(row: Any) -> dict[str, Any]:
        items = list(zip(CONTRACT.names, row, strict=True))
        chance.shuffle(items)
        return dict(items)

    objects = [named(row) for row in writable(rows)]
    by_position = decode_batch(batch(writable(rows)), LIVE, None)
    assert same(decode_batch(batch([[item] for item in objects]), LIVE, None), by_position)
    assert same(decode_named(orjson.dumps({"rows": objects}), LIVE), by_position)


@given(tables, st.one_of(st.text(), st.integers(0, 10), st.none()))
def test_the_key_is_first_and_is_not_a_feature(rows: Any, key: Any) -> None:
    keyed = snowflake.decode_batch(batch([[key, *row] for row in writable(rows)]), KEYED, None)
    assert same(keyed.matrix, decode_batch(batch(writable(rows)), LIVE, None))
    assert list(keyed.keys or []) == [key] * len(rows)


def test_the_key_may_be_anywhere_in_the_signature() -> None:
    signature = parse("(visits FLOAT, CUSTOMER_ID VARCHAR, SPENT FLOAT, ORDERS FLOAT)")
    assert decode_batch(batch([[3, "x", 1, 2]]), KEYED, signature).tolist() == [[1, 2, 3]]


def test_a_single_feature_is_decoded_from_a_number_and_from_an_object() -> None:
    assert decode_batch(b'{"data":[[0,1.5],[1,null]]}', ONE, None).shape == (2, 1)
    assert decode_batch(b'{"data":[[0,{"SPENT":1.5}]]}', ONE, None).tolist() == [[1.5]]


def test_an_object_contains_the_key_too() -> None:
    row = {"ORDERS": 2, "CUSTOMER_ID": "c-1", "VISITS": 3, "SPENT": 1}
    assert decode_batch(batch([[row]]), KEYED, parse("(FEATURES OBJECT)")).tolist() == [[1, 2, 3]]


def test_categories_are_encoded_as_their_codes() -> None:
    assert decode_batch(batch([[1, "paid"], [2, "free"], [3, None]]), MIXED, None)[:, 1].tolist()[:2] == [1, 0]
    with pytest.raises(CallerError, match="PLAN has a value outside its 2 declared") as caught:
        decode_batch(batch([[1, "gold"]]), MIXED, None)
    assert "gold" not in str(caught.value)


def test_names_in_the_direct_form_fold_to_upper_case_and_the_key_is_optional() -> None:
    rows = [{"spent": 1, "Orders": 2, "VISITS": 3}, {"CUSTOMER_ID": 9, "SPENT": 4, "ORDERS": 5, "VISITS": 6}]
    assert decode_named(orjson.dumps({"rows": rows}), KEYED).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_lower_case_column_of_the_contract_does_not_fold() -> None:
    live = live_version(contract=Contract((Column("a"), Column("A")), ("K",), "L"))
    assert decode_named(b'{"rows":[{"A":1,"a":2}]}', live).tolist() == [[2, 1]]


def test_a_name_that_folds_to_another_name_is_rejected() -> None:
    with pytest.raises(CallerError, match=r"row 0: .*given twice: SPENT"):
        decode_named(b'{"rows":[{"SPENT":1,"spent":2,"ORDERS":1,"VISITS":1}]}', LIVE)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([[0, 1, 2, 3], [2, 1, 2, 3]], "row 1 must .* row number 1"),
        ([[1, 1, 2, 3]], "row 0 must"),
        ([[0, 1, 2, 3], [True, 1, 2, 3]], "row 1 must"),
        ([[0.0, 1, 2, 3]], "row 0 must"),
        ([["0", 1, 2, 3]], "row 0 must"),
        ([[]], "row 0 must"),
        ([{"0": 1}], "row 0 must"),
        (["7777"], "row 0 must"),
        ([[0, 1, 2, 3], [1, 7777, 2]], r"row 1: it has 2 argument\(s\), 3 are needed: SPENT, ORDERS, VISITS"),
        ([[0, 1, 2, 3, 7777]], r"row 0: it has 4 argument\(s\), 3 are needed"),
        ([[0]], r"row 0: it has 0 argument\(s\)"),
        ([[0, 1, "7777", 3]], "feature ORDERS must be a number or NULL"),
        ([[0, 1, "nan", 3]], "feature ORDERS must be a number or NULL"),
        ([[0, 1, [7777], 3]], "feature ORDERS must be a number or NULL"),
        ([[0, [7777], [7777], [7777]]], "feature SPENT must be a number or NULL"),
        ([[0, {"a": 7777}, 2, 3]], "feature SPENT must be a number or NULL"),
        ([[0, 1, 2, 7777e38]], "feature VISITS "),
        ([[0, {"SPENT": 1, "ORDERS": 2, "VISITS": 3}], [1, {"SPENT": 7777, "OTHER": 1, "VISITS": 3}]],
         "row 1: .*missing: ORDERS; unknown: OTHER"),
        ([[0, {"SPENT": 1, "ORDERS": 2, "visits": 3}]], "row 0: .*missing: VISITS; unknown: visits"),
        ([[0, {"SPENT": 1, "ORDERS": 2, "VISITS": "7777"}]], "feature VISITS must be a number"),
        ([[0, {"SPENT": 1, "ORDERS": 2, "VISITS": 3}], [1, None]], "row 1: it must hold one object"),
        ([[0, {"SPENT": 1, "ORDERS": 2, "VISITS": 3, "CUSTOMER_ID": 7777}]], "unknown: CUSTOMER_ID"),
    ],
)  # fmt: skip
def test_an_error_names_its_row_and_column_and_no_value(data: Any, text: str) -> None:
    with pytest.raises(CallerError, match=text) as caught:
        decode_batch(orjson.dumps({"data": data}), LIVE, None)
    assert "7777" not in str(caught.value)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("(SPENT FLOAT, ORDERS FLOAT)", "signature does not fit .*missing: VISITS"),
        ("(SPENT FLOAT, ORDERS FLOAT, OTHER FLOAT)", "missing: VISITS; unknown: OTHER"),
        ("(SPENT FLOAT, SPENT FLOAT, ORDERS FLOAT, VISITS FLOAT)", "given twice: SPENT"),
        ("(FEATURES OBJECT)", "row 0: it must hold one object"),
    ],
)
def test_a_signature_that_does_not_match_the_contract_is_rejected(signature: str, text: str) -> None:
    with pytest.raises(CallerError, match=text):
        decode_batch(batch([[1, 2, 3]]), LIVE, parse(signature))


def test_rows_have_the_number_of_arguments_in_the_signature() -> None:
    with pytest.raises(CallerError, match=r"row 0: it has 2 argument\(s\), 3 are needed"):
        decode_batch(batch([[1, 2]]), LIVE, parse("(SPENT FLOAT, ORDERS FLOAT, VISITS FLOAT)"))


def test_the_error_shows_a_limited_part_of_the_keys() -> None:
    keys = {f"{'x' * 100}\n{number}": 1 for number in range(50)}
    with pytest.raises(CallerError) as caught:
        decode_named(orjson.dumps({"rows": [keys]}), LIVE)
    text = str(caught.value)
    assert "and 42 more" in text
    assert len(text) < 700
    assert "\n" not in text


@pytest.mark.parametrize("rows", [[7], [None], [[1, 2, 3]], ["x"]])
def test_direct_rows_must_be_objects(rows: Any) -> None:
    with pytest.raises(CallerError, match="row 0: it must hold one object"):
        decode_named(orjson.dumps({"rows": rows}), LIVE)


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(-5, 5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
).map(lambda value: orjson.dumps({"data": value, "rows": value})))  # fmt: skip
def test_any_body_is_decoded_or_rejected(body: bytes) -> None:
    for decode in (lambda: decode_batch(body, LIVE, None), lambda: decode_named(body, LIVE)):
        with suppress(CallerError):
            assert decode().shape[1] == 3


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_scores_are_returned_bit_for_bit(values: list[float]) -> None:
    scores = np.array(values, dtype=np.float32)
    reply = orjson.loads(encode_batch(scores))["data"]
    assert [number for number, _ in reply] == list(range(len(values)))
    assert [score for _, score in reply] == scores.astype(np.float64).tolist()
    direct = orjson.loads(named_rows.encode_reply(Scored(scores), Rows(np.empty((len(scores), 3))), LIVE).body)
    assert direct == {"model": "churn", "version": "v1", "predictions": [score for _, score in reply]}


def test_no_rows_give_an_empty_response() -> None:
    assert decode_batch(b'{"data":[]}', LIVE, None).shape == (0, 3)
    assert encode_batch(np.empty(0, np.float32)) == b'{"data":[]}'


def test_a_response_beyond_snowflakes_limit_is_not_sent() -> None:
    with pytest.raises(TooLarge, match="MAX_BATCH_ROWS"):
        encode_batch(np.full(400_000, 1 / 3, np.float32))


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_names_are_looked_up_and_not_searched() -> None:
    features = [f"F{number}" for number in range(200)]
    given = [Counted(f"X{number}") for number in range(1000)] + [Counted(name) for name in features]
    with pytest.raises(ContractMismatch, match="unknown: X0, X1"):
        positions(given, features, features, fold_case=True, where="the object")
    contract = Contract(tuple(map(Column, features)), key=("ID",), label="L")
    with pytest.raises(ContractViolation, match="unknown: X0"):
        contract.positions(given)
    assert Counted.compared < 20 * len(given)


def test_long_keys_of_callers_are_not_remembered() -> None:
    columns_of.cache_clear()
    for number in range(3):
        row = {f"{'K' * 70_000}{number}": 1}
        with pytest.raises(CallerError, match="unknown: KKK"):
            decode_named(orjson.dumps({"rows": [row]}), ONE)
    assert columns_of.cache_info().currsize == 0


def test_the_first_row_that_does_not_fit_ends_a_batch_that_may_not_have_one() -> None:
    rows = [{"SPENT": 1}, {"SPENT": "x"}, *({f"K{number}": 1} for number in range(1000))]
    with pytest.raises(CallerError, match="row 1: feature SPENT must be a number"):
        decode_named(orjson.dumps({"rows": rows}), ONE)
    del rows[1]
    with pytest.raises(CallerError, match="row 1: the object does not fit the model's features"):
        decode_named(orjson.dumps({"rows": rows}), ONE)


@pytest.mark.parametrize("header", ["é", "====", "not base64!", "/w=="])
def test_an_encoded_signature_that_cannot_be_read_is_the_callers_error(header: str) -> None:
    with pytest.raises(CallerError, match="is not base64"):
        snowflake.decode(batch([[1, 2, 3]]), LIVE, {"sf-external-function-signature-base64": header})
