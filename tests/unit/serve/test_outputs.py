"""The output of a row: a number, an object with reasons, or an error for a row that cannot be scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deploy.rules import ServingRules
from app.errors import CallerError
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.jit import reply_writer
from app.serve.codecs.signature import parse
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.rows import Rows, Scored
from app.serve.scoring.endpoint import EndpointRefusal, EndpointScorer
from sagemaker_entry import npy
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import Reasons
from tests.unit.serve.fakes import status_of

from .fakes import FakeEndpoint, live_version

OBJECT = parse("(FEATURES OBJECT)")
MIXED = Contract((Column("SPENT"), Column("PLAN", "category", ("free", "paid"))), ("CUSTOMER_ID",), "CHURNED")
MATRIX = np.zeros((3, 3), np.float32)
SCORES = np.array([0.1, 0.5, 0.9], np.float32)
REASONS = Reasons(np.array([[2, 0], [1, 2], [0, 1]]), np.array([[-0.3, 0.1], [0.2, 0.2], [9, -1]], np.float32))


def live(contract: Contract | None = None, key: str | None = None, **rules: Any) -> Any:
    made = live_version(key=key) if contract is None else live_version(contract=contract, key=key)
    return replace(made, rules=ServingRules(**rules))


def answers(scored: Scored, rows: Rows, version: Any) -> list[Any]:
    """The outputs of both forms. Fails the test if they differ."""
    batch = orjson.loads(snowflake.encode_reply(scored, rows, version).body)["data"]
    assert [number for number, _ in batch] == list(range(len(rows)))
    direct = orjson.loads(named_rows.encode_reply(scored, rows, version).body)
    assert (direct["model"], direct["version"]) == ("churn", "v1")
    assert direct["predictions"] == [value for _, value in batch]
    return [value for _, value in batch]


def test_a_number_is_the_float32_as_a_double() -> None:
    assert answers(Scored(SCORES), Rows(MATRIX), live()) == [0.10000000149011612, 0.5, 0.8999999761581421]


def test_an_object_has_score_and_version() -> None:
    found = answers(Scored(SCORES), Rows(MATRIX), live(output="variant"))
    assert found[0] == {"score": 0.10000000149011612, "version": "v1"}


def test_a_score_at_the_threshold_gets_the_second_label() -> None:
    version = live(output="variant", threshold=0.5, labels=("STAYS", "CHURNS"))
    assert [row["label"] for row in answers(Scored(SCORES), Rows(MATRIX), version)] == ["STAYS", "CHURNS", "CHURNS"]
    # As SQL compares a FLOAT column: the score as a double. 0.1 as a float32 is above 0.1.
    version = live(output="variant", threshold=0.1, labels=("a", "b"))
    assert answers(Scored(SCORES), Rows(MATRIX), version)[0] == {
        "score": 0.10000000149011612,
        "label": "b",
        "version": "v1",
    }


def test_reasons_are_named_and_in_order() -> None:
    found = answers(Scored(SCORES, reasons=REASONS), Rows(MATRIX), live(output="variant", reasons=2))
    assert found[0]["reasons"] == [
        {"feature": "VISITS", "contribution": float(np.float32(-0.3))},
        {"feature": "SPENT", "contribution": float(np.float32(0.1))},
    ]


@pytest.mark.parametrize(
    ("output", "on_bad_row", "value"),
    [("number", "null", None), ("variant", "null", None), ("variant", "error", {"error": "why"})],
)
def test_an_invalid_row_does_not_affect_the_others(output: str, on_bad_row: str, value: Any) -> None:
    version = live(output=output, on_bad_row=on_bad_row)
    found = answers(Scored(SCORES), Rows(MATRIX, faults={1: "why"}), version)
    assert found[1] == value
    assert found[0] is not None
    assert found[2] is not None


# --- invalid rows -----------------------------------------------------------------------------------------------------------

TYPED = [
    ([1, "free"], None),
    (["7777", "free"], "feature SPENT must be a number or NULL"),
    ([[7777], "free"], "feature SPENT must be a number or NULL"),
    ([7777e38, "free"], "feature SPENT has a value that is infinite or beyond the range of a 32-bit float"),
    ([1, "7777"], "feature PLAN has a value outside its 2 declared categories"),
    ([1, 7777], "feature PLAN has a value outside its 2 declared categories"),
    ([1, ["7777"]], "feature PLAN has a value outside its 2 declared categories"),
    ([1], "it has 1 argument(s), 2 are needed: SPENT, PLAN"),
    ([1, "free", 7777], "it has 3 argument(s), 2 are needed: SPENT, PLAN"),
    ([], "it has 0 argument(s), 2 are needed: SPENT, PLAN"),
    ([None, None], None),
    ([2, "paid"], None),
]
NAMED: list[tuple[Any, str | None]] = [
    ({"SPENT": 1, "PLAN": "free"}, None),
    ({"PLAN": "free", "SPENT": 1}, None),
    ({"SPENT": 1}, "the object does not fit the model's features; missing: PLAN"),
    ({"SPENT": 1, "PLAN": "free", "X": 7777}, "the object does not fit the model's features; unknown: X"),
    ({"SPENT": "7777", "PLAN": "free"}, "feature SPENT must be a number or NULL"),
    (None, "it must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"),
    ([7777], "it must hold one object of named features, as OBJECT_CONSTRUCT_KEEP_NULL makes it"),
    ({}, "the object does not fit the model's features; missing: SPENT, PLAN"),
]


def typed(rows: list[Any]) -> bytes:
    return orjson.dumps({"data": [[number, *row] for number, row in enumerate(rows)]})


def by_name(rows: list[Any]) -> bytes:
    return orjson.dumps({"data": [[number, row] for number, row in enumerate(rows)]})


@given(st.lists(st.sampled_from(TYPED), min_size=1, max_size=9))
def test_each_invalid_row_of_arguments_is_reported_separately(rows: list[tuple[Any, str | None]]) -> None:
    check(typed([row for row, _ in rows]), [why for _, why in rows], None, [row for row, _ in rows])


@given(st.lists(st.sampled_from(NAMED), min_size=1, max_size=9))
def test_each_invalid_object_is_reported_separately(rows: list[tuple[Any, str | None]]) -> None:
    good = [None if why else [row["SPENT"], row["PLAN"]] for row, why in rows]
    check(by_name([row for row, _ in rows]), [why for _, why in rows], OBJECT, good)
    direct = orjson.dumps({"rows": [row for row, _ in rows]})
    wanted = {at: why for at, (_, why) in enumerate(rows) if why}
    assert named_rows.decode(direct, live(MIXED, on_bad_row="null"), {}).faults == wanted


def check(body: bytes, whys: list[str | None], signature: Any, values: list[Any]) -> None:
    rows = snowflake.decode_batch(body, live(MIXED, on_bad_row="null"), signature)
    assert rows.faults == {at: why for at, why in enumerate(whys) if why}
    assert len(rows) == len(whys)
    for at, (why, row) in enumerate(zip(whys, values, strict=True)):
        if why is None:
            alone = snowflake.decode_batch(typed([row]), live(MIXED), None).matrix[0]
            assert rows.matrix[at].tobytes() == alone.tobytes()
    if rows.faults:
        first = min(rows.faults)
        with pytest.raises(CallerError) as caught:
            snowflake.decode_batch(body, live(MIXED), signature)
        assert str(caught.value) == f"row {first}: {rows.faults[first]}"
        assert "7777" not in str(caught.value)


@pytest.mark.parametrize("on_bad_row", ["fail", "null", "error"])
@pytest.mark.parametrize("data", [[[0, 1, "free"], [2, 1, "free"]], [[1, 1, "free"]], [7], [[]], [["0", 1, "free"]]])
def test_malformed_numbers_fail_the_whole_body(data: Any, on_bad_row: str) -> None:
    with pytest.raises(CallerError, match="must be an array that starts with the row number"):
        snowflake.decode_batch(orjson.dumps({"data": data}), live(MIXED, output="variant", on_bad_row=on_bad_row), None)


def test_a_signature_that_does_not_match_fails_the_whole_body() -> None:
    with pytest.raises(CallerError, match="signature does not fit"):
        snowflake.decode_batch(typed([[1]]), live(MIXED, on_bad_row="null"), parse("(SPENT FLOAT)"))


def test_valid_rows_keep_their_keys() -> None:
    keyed = live(MIXED, key="CUSTOMER_ID", on_bad_row="null")
    rows = snowflake.decode_batch(typed([["a", 1, "free"], ["b"], ["c", "x", "free"], ["d", 2, None]]), keyed, None)
    assert [key for at, key in enumerate(rows.keys or []) if at not in rows.faults] == ["a", "d"]
    objects = [{"CUSTOMER_ID": "a", "SPENT": 1, "PLAN": None}, {"SPENT": 1, "PLAN": None}, None]
    rows = snowflake.decode_batch(by_name(objects), keyed, OBJECT)
    assert (rows.keys or [])[0] == "a"
    assert set(rows.faults) == {1, 2}
    assert "missing: CUSTOMER_ID" in rows.faults[1]


# --- absent keys ------------------------------------------------------------------------------------------------------------


def test_an_absent_key_means_null_if_the_rules_say_so() -> None:
    objects = [{"SPENT": 1}, {"PLAN": "paid"}, {}, {"SPENT": 2, "PLAN": "free"}]
    wanted = np.array([[1, np.nan], [np.nan, 1], [np.nan, np.nan], [2, 0]], np.float32)
    version = live(MIXED, absent_is_null=True)
    for chosen in (objects, objects[:1] * 3, objects[2:3] * 2):
        lines = [objects.index(item) for item in chosen]
        matrix = snowflake.decode_batch(by_name(chosen), version, OBJECT).matrix
        assert np.array_equal(matrix, wanted[lines], equal_nan=True)
        assert np.array_equal(
            named_rows.decode(orjson.dumps({"rows": chosen}), version, {}).matrix, matrix, equal_nan=True
        )


def test_an_unknown_key_and_an_absent_entity_are_always_errors() -> None:
    version = live(MIXED, key="CUSTOMER_ID", absent_is_null=True)
    with pytest.raises(CallerError, match=r"row 0: .*unknown: SPEND"):
        snowflake.decode_batch(by_name([{"CUSTOMER_ID": 1, "SPEND": 1}]), version, OBJECT)
    with pytest.raises(CallerError, match=r"row 0: .*missing: CUSTOMER_ID$"):
        snowflake.decode_batch(by_name([{"SPENT": 1}]), version, OBJECT)
    assert list(snowflake.decode_batch(by_name([{"CUSTOMER_ID": 7}]), version, OBJECT).keys or []) == [7]


# --- reasons through an endpoint --------------------------------------------------------------------------------------------


def reasons_of(answer: np.ndarray, asked: int = 2) -> Scored:
    def given(_: str, __: np.ndarray, parameters: str) -> bytes:
        assert parameters.endswith(f"; reasons={min(asked, 3)}")
        return npy.encode(answer)

    call = PredictionRequest("churn", {}, Deadline.after(9))
    return EndpointScorer(FakeEndpoint(given)).score(live(output="variant", reasons=asked), Rows(MATRIX), call)


def test_the_endpoints_table_is_decoded_into_scores_and_reasons() -> None:
    table = np.column_stack([SCORES, REASONS.features.astype(np.float32), REASONS.contributions])
    scored = reasons_of(table)
    assert scored.scores.tobytes() == SCORES.tobytes()
    assert scored.reasons is not None
    assert np.array_equal(scored.reasons.features, REASONS.features)
    assert np.array_equal(scored.reasons.contributions, REASONS.contributions)


def test_no_more_reasons_than_features_are_requested() -> None:
    scored = reasons_of(np.zeros((3, 7), np.float32), asked=50)
    assert scored.reasons is not None
    assert scored.reasons.features.shape == (3, 3)


def test_an_endpoint_whose_code_predates_reasons_is_reported() -> None:
    with pytest.raises(
        EndpointRefusal, match="gives no reasons: its code is older than they are; train and deploy"
    ) as caught:
        reasons_of(SCORES)
    assert status_of(caught.value) == 400


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=120))
def test_the_compiled_encoder_equals_the_plain_one(scores: list[float]) -> None:
    assert reply_writer.write(np.array(scores, np.float64)) == orjson.dumps({"data": list(enumerate(scores))})


@pytest.mark.parametrize("rows", [7, 8, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 9999, 10_001, 65_536])
def test_row_numbers_of_any_length_are_written_completely(rows: int) -> None:
    scores = np.random.default_rng(rows).normal(size=rows)
    assert reply_writer.write(scores) == orjson.dumps({"data": list(enumerate(scores.tolist()))})
