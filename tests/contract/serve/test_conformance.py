"""Snowflake's external-function protocol over HTTP; names and ids of tests contain the number of the rule."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import xgboost

from app.errors import CallerError, PermanentError, TransientError
from sagemaker_entry.contract import Column, Contract
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import FakeEndpoint, live_version

Start = Callable[[Service], Service]

ROWS = [[1.5, 2, -3], [None, 0.25, True], [1e-3, 12345678901234567890, 7]]
BODY = json.dumps({"data": [[number, *row] for number, row in enumerate(ROWS)]}).encode()
PRETTY = b'{\n"data":[\n[0,1.5,2,-3],\n[1,null,0.25,true],\n[2,1e-3,12345678901234567890,7]\n]\n}\n'
MIXED = live_version(
    "mixed", contract=Contract((Column("SPENT"), Column("PLAN", "category", ("", "paid", "été"))), ("ID",), "L")
)


@pytest.fixture(scope="module")
def wanted(model: tuple[xgboost.Booster, Path]) -> list[list[float]]:
    """The expected data of the response for ROWS."""
    scores = model[0].inplace_predict(np.array(ROWS, dtype=np.float64).astype(np.float32))
    return [[number, score] for number, score in enumerate(scores.astype(np.float64).tolist())]


def header(name: str, text: str) -> dict[str, str]:
    return {f"sf-external-function-{name}-base64": base64.b64encode(text.encode()).decode()}


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def ask(service: Service, body: bytes, model: str = "churn", **headers: str) -> httpx.Response:
    return service.post(f"/predict/{model}", content=body, headers={"content-type": "application/json", **headers})


def refused(answer: httpx.Response, status: int = 400) -> str:
    """The short text of an error response."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    (field, text), *more = answer.json().items()
    assert (field, more) == ("error", [])
    return str(text)


REQUESTS = {
    "1.1-plain": (BODY, {}),
    "1.1-pretty-printed": (PRETTY, {}),
    "1.1-gzip-with-its-header": (gzip.compress(BODY), {"content-encoding": "gzip"}),
    "1.1-gzip-told-by-its-first-bytes": (gzip.compress(BODY), {}),
    "1.1-header-says-gzip-body-was-unpacked-on-the-way": (PRETTY, {"content-encoding": "gzip"}),
    "1.1-gzip-in-several-members": (gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), {"content-encoding": "gzip"}),
    "1.1-format-headers": (BODY, {"sf-external-function-format": "json", "sf-external-function-format-version": "1.0"}),
    "1.1-batch-id-is-opaque": (BODY, {"sf-external-function-query-batch-id": "no:such 'form' {at} all"}),
    "1.1-function-name-with-blanked-characters": (BODY, {"sf-external-function-name": "S ORE", **header("name", "SÇORE")}),
    "1.1-return-type": (BODY, {"sf-external-function-return-type": "VARIANT"} | header("return-type", "VARIANT")),
    "1.1-custom-headers-up-to-8-kb": (BODY, {"sf-custom-note": "x" * 8000}),
    "1.1-context-headers-in-both-spellings": (
        BODY, {"sf-context-current-user": "J RG"} | {"sf-context-current-user-base64": base64.b64encode("JÖRG".encode()).decode()},
    ),
    "1.1-current-statement-within-the-gateways-10240-bytes": (BODY, {"sf-context-current-statement": "s" * 10_000}),
    "1.1-signature": (BODY, {"sf-external-function-signature": "(SPENT NUMBER, ORDERS NUMBER(38,2), VISITS FLOAT)"}),
    "1.1-base64-signature-wins-over-the-blanked-one": (
        BODY, {"sf-external-function-signature": "(  )"} | header("signature", '(SPENT FLOAT, "ORDERS" FLOAT, VISITS FLOAT)'),
    ),
    "1.5-compression-deflate-with-zlib-header": (zlib.compress(BODY), {"content-encoding": "deflate"}),
    "1.5-compression-deflate-raw": (raw_deflate(BODY), {"content-encoding": "deflate"}),
    "1.5-compression-none-though-the-header-says-deflate": (BODY, {"content-encoding": "deflate"}),
}  # fmt: skip


@pytest.mark.parametrize(("body", "headers"), REQUESTS.values(), ids=REQUESTS)
def test_requests_are_answered_row_by_row(churn: Service, wanted: Any, body: bytes, headers: dict[str, str]) -> None:
    answer = ask(churn, body, **headers)
    assert (answer.status_code, answer.json()) == (200, {"data": wanted}), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-md5"] == base64.b64encode(hashlib.md5(answer.content).digest()).decode()


FAULTS = {
    "1.1-body-is-not-json": (b"{", {}, "not valid JSON"),
    "1.1-body-is-empty": (b"", {}, "not valid JSON"),
    "1.1-body-is-not-utf-8": (b'{"data":[[0,"\xff",2,3]]}', {}, "not valid JSON"),
    "1.1-no-data": (b'{"rows":[]}', {}, '"data"'),
    "1.1-data-is-no-array": (b'{"data":{}}', {}, '"data"'),
    "1.1-row-numbers-begin-at-0": (b'{"data":[[1,1,2,3]]}', {}, "row 0 "),
    "1.1-row-numbers-ascend-by-1": (b'{"data":[[0,1,2,3],[2,1,2,3]]}', {}, "row 1 "),
    "1.1-row-numbers-are-integers": (b'{"data":[[0.0,1,2,3]]}', {}, "row 0 "),
    "1.1-true-is-no-row-number": (b'{"data":[[0,1,2,3],[true,1,2,3]]}', {}, "row 1 "),
    "1.1-a-row-is-an-array": (b'{"data":[7]}', {}, "row 0 "),
    "1.1-a-row-without-arguments": (b'{"data":[[0]]}', {}, r"0 argument\(s\), 3 are needed"),
    "1.1-gzip-cut-short": (gzip.compress(BODY)[:-9], {"content-encoding": "gzip"}, "cut short"),
    "1.1-gzip-damaged": (b"\x1f\x8b" + b"x" * 40, {}, "damaged"),
    "1.1-signature-unreadable": (BODY, {"sf-external-function-signature": "SPENT"}, "signature could not be read"),
    "1.1-signature-not-base64": (BODY, {"sf-external-function-signature-base64": "(("}, "not base64"),
    "1.1-signature-of-other-arguments": (BODY, {"sf-external-function-signature": "(A FLOAT)"}, "missing: SPENT"),
    "1.1-signature-without-arguments": (b'{"data":[[0]]}', {"sf-external-function-signature": "()"}, "missing: SPENT"),
    "1.2-varchar-for-a-number": (b'{"data":[[0,"77.7",2,3]]}', {}, "SPENT must be a number"),
    "1.2-empty-string-for-a-number": (b'{"data":[[0,"",2,3]]}', {}, "SPENT must be a number"),
    "1.2-date-for-a-number": (b'{"data":[[0,1,"2014-01-01 16:00:00",3]]}', {}, "ORDERS must be a number"),
    "1.2-array-for-a-number": (b'{"data":[[0,1,2,[77]]]}', {}, "VISITS must be a number"),
    "1.2-object-for-a-number": (b'{"data":[[0,1,2,{"a":77}]]}', {}, "VISITS must be a number"),
    "1.2-bare-nan": (b'{"data":[[0,1,2,NaN]]}', {}, "not valid JSON"),
    "1.2-bare-infinity": (b'{"data":[[0,1,2,Infinity]]}', {}, "not valid JSON"),
    "1.2-nan-as-text": (b'{"data":[[0,1,2,"NaN"]]}', {}, "VISITS must be a number"),
    "1.2-float-beyond-32-bits": (b'{"data":[[0,1,2,1e39]]}', {}, "VISITS has a value that is infinite"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "text"), FAULTS.values(), ids=FAULTS)
def test_invalid_requests_are_rejected_permanently_without_quoting_values(
    churn: Service, body: bytes, headers: dict[str, str], text: str
) -> None:
    answer = ask(churn, body, **headers)
    said = refused(answer)
    assert re.search(text, said), said
    assert "77" not in said
    assert len(answer.content) < 700


VALUES = {
    "1.2-boolean": ("true", 1.0),
    "1.2-null": ("null", None),
    "1.2-number-38-digits": ("12345678901234567890123456789012345678", 12345678901234567890123456789012345678),
    "1.2-number-beyond-2-to-53": ("9007199254740993", 9007199254740993),
    "1.2-decimals": ("0.1234567890123456789", 0.1234567890123456789),
    "1.2-exponent": ("-2.5E-3", -0.0025),
    "1.2-smaller-than-a-float32": ("1e-300", 0.0),
}


@pytest.mark.parametrize(("text", "value"), VALUES.values(), ids=VALUES)
def test_a_value_reaches_the_model_as_float32(start: Start, text: str, value: float | None) -> None:
    seen: list[np.ndarray] = []

    def keep(_: str, matrix: np.ndarray, __: str) -> bytes:
        seen.append(matrix)
        return FakeEndpoint().answer(_, matrix, __)

    service = start(Service(FakeEndpoint(keep), live_version()))
    assert ask(service, f'{{"data":[[0,{text},2,3]]}}'.encode()).status_code == 200
    expected = np.array([[np.nan if value is None else value, 2, 3]], dtype=np.float64).astype(np.float32)
    assert seen[0].tobytes() == expected.tobytes()


def test_1_2_strings_are_categories_including_the_empty_string(start: Start) -> None:
    service = start(Service(FakeEndpoint(), MIXED))
    body = json.dumps({"data": [[0, 0, ""], [1, 0, "paid"], [2, 0, "été"], [3, 0, None]]}, ensure_ascii=False)
    assert ask(service, body.encode(), "mixed").json() == {"data": [[0, 0.0], [1, 1.0], [2, 2.0], [3, 0.0]]}


@pytest.mark.parametrize("key", ["7", '"c-1"', '""', "null", '"2014-01-01"', "12345678901234567890123456789", "true"])
def test_1_2_a_key_of_any_type_is_not_a_feature(churn: Service, key: str) -> None:
    assert (
        ask(churn, f'{{"data":[[0,{key},1,2,3]]}}'.encode(), "keyed").json()
        == ask(churn, b'{"data":[[0,1,2,3]]}').json()
    )


@pytest.mark.parametrize("body", [b'{"data":[]}', b' { "data" : [ ] } '])
def test_1_3_no_rows_give_no_rows(churn: Service, body: bytes) -> None:
    assert ask(churn, body).content == b'{"data":[]}'


def test_1_3_rows_are_returned_completely_and_in_order(churn: Service) -> None:
    forward = [[number, number / 100, 2, 3] for number in range(3000)]
    backward = [[number, row[1], 2, 3] for number, row in enumerate(reversed(forward))]
    ahead, back = (ask(churn, json.dumps({"data": rows}).encode()).json()["data"] for rows in (forward, backward))
    assert [number for number, _ in ahead] == [number for number, _ in back] == list(range(3000))
    assert [score for _, score in ahead] == [score for _, score in reversed(back)]


def test_1_3_a_response_never_contains_nan(start: Start) -> None:
    broken = FakeEndpoint(lambda endpoint, matrix, fingerprint: FakeEndpoint().answer(endpoint, matrix * np.nan, ""))
    service = start(Service(broken, live_version()))
    assert "NaN" not in ask(service, b'{"data":[[0,1,2,3]]}').text


def test_1_3_a_response_beyond_10_mb_is_a_4xx(start: Start) -> None:
    service = start(Service(FakeEndpoint(), live_version(), max_body_bytes=50_000_000, max_rows=1_000_000))
    body = '{"data":[' + ",".join(f"[{number},0.123,{number}.7,0]" for number in range(490_000)) + "]}"
    assert "MAX_BATCH_ROWS" in refused(ask(service, gzip.compress(body.encode(), 1)), 413)


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b" " * 500_001, {}), (gzip.compress(b" " * 500_001), {}), (zlib.compress(b" " * 500_001), {"content-encoding": "deflate"})],
    ids=["1.7-plain", "1.7-gzip-bomb", "1.7-deflate-bomb"],
)  # fmt: skip
def test_a_body_beyond_the_limit_is_a_413(churn: Service, body: bytes, headers: dict[str, str]) -> None:
    assert "500000 bytes" in refused(ask(churn, body, **headers), 413)


CLASSES = {
    "1.4-the-rows-are-wrong-4xx": (CallerError("x"), {400}),
    "1.4-busy-is-repeated": (TransientError("x"), {429, 503}),
    "1.4-broken-is-5xx": (PermanentError("x"), {500}),
    "1.4-unforeseen-is-5xx": (RuntimeError("77"), {500}),
}


@pytest.mark.parametrize(("error", "statuses"), CLASSES.values(), ids=CLASSES)
def test_each_kind_of_error_has_its_status(start: Start, error: Exception, statuses: set[int]) -> None:
    def fail(*_: object) -> bytes:
        raise error

    answer = ask(start(Service(FakeEndpoint(fail), live_version())), b'{"data":[[0,1,2,3]]}')
    assert answer.status_code in statuses
    assert "77" not in refused(answer, answer.status_code)


def test_1_4_an_unknown_model_is_404_and_a_missing_credential_401(churn: Service) -> None:
    assert "snowsage deploy" in refused(ask(churn, BODY, "unregistered"), 404)
    refused(ask(churn, BODY, **{"x-snowsage-secret": "wrong"}), 401)


def test_1_4_a_get_is_routed_and_other_methods_are_405(churn: Service) -> None:
    poll = churn.get("/predict/churn", headers={"sf-external-function-query-batch-id": "never-sent"})
    assert poll.status_code not in (405, 500)
    refused(churn.client.put("/predict/churn", content=BODY), 405)
