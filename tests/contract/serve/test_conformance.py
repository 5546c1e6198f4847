"""The external functions' protocol, rule by rule, over HTTP: what is taken, what is refused and how, what is answered."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import xgboost

from app.errors import CallerError, Overloaded, TransientError
from tests.contract.serve.running import Service
from tests.unit.serve.fakes import FakeEndpoint, live_version, npy

PATH, KEYED = "/predict/churn", "/predict/keyed"
BATCH_ID = "sf-external-function-query-batch-id"
SIGNATURE = "sf-external-function-signature"
LIMIT_BYTES = 500_000  # of the shared service
SECRET_TEXT = "sw0rdfish"  # stands for a row's value in what is refused

Row = list[Any]


def batch(*rows: Row) -> bytes:
    return json.dumps({"data": [[number, *row] for number, row in enumerate(rows)]}, separators=(",", ":")).encode()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Taken:
    """``body`` is scored as ``rows``, in the contract's order, NaN for NULL."""

    rule: str
    body: bytes
    rows: list[list[float]]
    headers: dict[str, str] = field(default_factory=dict)
    path: str = PATH


@dataclass(frozen=True)
class Refused:
    """``body`` is refused with ``status``; the text holds all of ``words``."""

    rule: str
    body: bytes
    words: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    path: str = PATH
    status: int = 400


NAN = float("nan")
ROW = [1.5, 2, 3]
ONE = batch(ROW)
PRETTY = b'{\n"data":[\n[0,1.5,2,3],\n[1,null,-1,0]\n]\n}'
FIT = "SPENT INT, ORDERS INT, VISITS INT"
DEFLATE = {"Content-Encoding": "deflate"}
AS_OBJECT = {SIGNATURE: "(F OBJECT)"}
TURNED = "(VISITS FLOAT, SPENT NUMBER(38,6), ORDERS NUMBER)"

TAKEN = [
    Taken("request: no rows", b'{"data":[]}', []),
    Taken("request: one row", ONE, [ROW]),
    Taken("request: many rows in order", batch(*[[n, -n, 0.5] for n in range(300)]), [[n, -n, 0.5] for n in range(300)]),
    Taken("request: pretty-printed with newlines", PRETTY, [ROW, [NAN, -1, 0]]),
    Taken("request: carriage returns and tabs", PRETTY.replace(b"\n", b"\r\n\t"), [ROW, [NAN, -1, 0]]),
    Taken("request: the key before the features", batch(["c-1", *ROW]), [ROW], path=KEYED),
    Taken("request: a key that is a number", batch([10**30, *ROW]), [ROW], path=KEYED),
    Taken("request: a key that is NULL", batch([None, *ROW]), [ROW], path=KEYED),
    Taken("packing: gzip with its header", gzip.compress(ONE), [ROW], {"Content-Encoding": "gzip"}),
    Taken("packing: gzip without a header", gzip.compress(ONE), [ROW]),
    Taken("packing: gzip in two members", gzip.compress(ONE[:9]) + gzip.compress(ONE[9:]), [ROW]),
    Taken("packing: the header says gzip, the body is plain", PRETTY, [ROW, [NAN, -1, 0]], {"Content-Encoding": "gzip"}),
    Taken("packing: deflate with zlib's header", zlib.compress(ONE), [ROW], DEFLATE),
    Taken("packing: raw deflate", raw_deflate(ONE), [ROW], DEFLATE),
    Taken("packing: the header says deflate, the body is plain", ONE, [ROW], DEFLATE),
    Taken("headers: the plain signature", batch([3, 1.5, 2]), [ROW], {SIGNATURE: TURNED}),
    Taken("headers: the signature in base64", batch([3, 1.5, 2]), [ROW], {f"{SIGNATURE}-base64": base64_of(TURNED)}),
    Taken(
        "headers: base64 before plain, in which characters are blanked",
        batch([3, 1.5, 2]),
        [ROW],
        {SIGNATURE: "(SPENT NUMBER, ORDERS NUMBER, VISITS NUMBER)", f"{SIGNATURE}-base64": base64_of(TURNED)},
    ),
    Taken("headers: argument names in lower case", batch(ROW), [ROW], {SIGNATURE: "(spent FLOAT, orders FLOAT, visits FLOAT)"}),
    Taken(
        "headers: context and custom headers change nothing",
        ONE,
        [ROW],
        {
            "sf-context-current-user": "A USER",
            "sf-context-current-user-base64": base64_of("Ä USER"),
            "sf-context-current-statement-base64": base64_of("select 1"),
            "sf-custom-team": "growth",
            "sf-external-function-format": "json",
            "sf-external-function-format-version": "1.0",
            "sf-external-function-return-type": "FLOAT",
        },
    ),
    Taken("headers: a context header that is no base64", ONE, [ROW], {"sf-context-current-user-base64": "%%%"}),
    Taken("types: NULL", batch([None, 2, None]), [[NAN, 2, NAN]]),
    Taken("types: all NULL", batch([None, None, None]), [[NAN, NAN, NAN]]),
    Taken("types: BOOLEAN", batch([True, False, None]), [[1, 0, NAN]]),
    Taken("types: NUMBER(38,0) beyond 2^53", batch([2**53 + 1, -(10**38) + 1, 2**64]), [[2**53 + 1, -1e38, 2.0**64]]),
    Taken("types: exponents", b'{"data":[[0,1e3,-2.5E-3,1E+2]]}', [[1e3, -2.5e-3, 1e2]]),
    Taken("types: less than any float32", b'{"data":[[0,1e-400,-1e-60,0.0]]}', [[0.0, -0.0, 0.0]]),
    Taken(
        "types: more digits than a double has",
        b'{"data":[[0,0.1000000000000000055511151231257827,2,3]]}',
        [[0.1, 2, 3]],
    ),
    Taken("object: named features", batch([{"VISITS": 3, "SPENT": 1.5, "ORDERS": 2}]), [ROW]),
    Taken("object: NULLs", batch([{"SPENT": None, "ORDERS": 2, "VISITS": None}]), [[NAN, 2, NAN]]),
    Taken("object: by its type in the signature", batch([{"VISITS": 3, "SPENT": 1.5, "ORDERS": 2}]), [ROW], AS_OBJECT),
    Taken("object: no rows", b'{"data":[]}', [], AS_OBJECT),
    Taken("object: with the key", batch([{"CUSTOMER_ID": "c", "VISITS": 3, "SPENT": 1.5, "ORDERS": 2}]), [ROW], path=KEYED),
]  # fmt: skip

FEW, NUMBERED = ("row 0", "argument"), ("row number",)
REFUSED = [
    Refused("request: an empty body", b"", ("JSON",)),
    Refused("request: no JSON", b"rows", ("JSON",)),
    Refused("request: cut short", ONE[:-3], ("JSON",)),
    Refused("request: no data", b'{"rows":[]}', ("data",)),
    Refused("request: data is no array", b'{"data":{}}', ("data",)),
    Refused("request: a bare array", b"[[0,1,2,3]]", ("data",)),
    Refused("request: no UTF-8", b'{"data":[[0,"\xff",2,3]]}', ("JSON",)),
    Refused("rows: numbers do not begin with 0", b'{"data":[[1,1,2,3]]}', ("row 0", *NUMBERED)),
    Refused("rows: a number twice", b'{"data":[[0,1,2,3],[0,1,2,3]]}', ("row 1", *NUMBERED)),
    Refused("rows: a gap in the numbers", b'{"data":[[0,1,2,3],[2,1,2,3]]}', ("row 1", *NUMBERED)),
    Refused("rows: descending numbers", b'{"data":[[1,1,2,3],[0,1,2,3]]}', ("row 0", *NUMBERED)),
    Refused("rows: a number that is a text", b'{"data":[["0",1,2,3]]}', NUMBERED),
    Refused("rows: a number that is no integer", b'{"data":[[0.0,1,2,3]]}', NUMBERED),
    Refused("rows: a number that is a boolean", b'{"data":[[false,1,2,3]]}', NUMBERED),
    Refused("rows: a row that is no array", b'{"data":[{"a":1}]}', NUMBERED),
    Refused("rows: an empty row", b'{"data":[[]]}', NUMBERED),
    Refused("arguments: none", b'{"data":[[0]]}', FEW),
    Refused("arguments: too few", batch(ROW[:2]), FEW),
    Refused("arguments: too many", batch([*ROW, 4]), FEW),
    Refused("arguments: the second row has too few", batch(ROW, ROW[:2]), ("row 1", "argument")),
    Refused("arguments: one is missing", batch(ROW[:2]), ("missing", "VISITS"), {SIGNATURE: "(SPENT INT, ORDERS INT)"}),
    Refused("arguments: an unknown one", batch([*ROW, 4]), ("unknown", "SHOES"), {SIGNATURE: f"({FIT}, SHOES INT)"}),
    Refused("arguments: one twice", batch([*ROW, 4]), ("twice", "SPENT"), {SIGNATURE: f"({FIT}, SPENT INT)"}),
    Refused("arguments: the key is missing", batch(ROW), FEW, path=KEYED),
    Refused("headers: a signature that cannot be read", ONE, ("signature",), {SIGNATURE: "SPENT INT"}),
    Refused("headers: a signature that is no base64", ONE, ("base64",), {f"{SIGNATURE}-base64": "%%"}),
    Refused("types: an empty string", batch(["", 2, 3]), ("row 0", "SPENT")),
    Refused("types: a long string", batch([1, SECRET_TEXT * 3000, 3]), ("row 0", "ORDERS")),
    Refused("types: a number as a string", batch([1, 2, "3"]), ("row 0", "VISITS")),
    Refused("types: DATE", batch(["2014-01-01", 2, 3]), ("row 0", "SPENT")),
    Refused("types: TIME", batch([1, "16:00:00", 3]), ("row 0", "ORDERS")),
    Refused("types: TIMESTAMP", batch(ROW, [1, 2, "2014-01-01 16:00:00"]), ("row 1", "VISITS")),
    Refused("types: BINARY", batch(["DEADBEEF", 2, 3]), ("SPENT",)),
    Refused("types: ARRAY", batch([1, [2], 3]), ("row 0", "ORDERS")),
    Refused("types: OBJECT among arguments", batch([1, {"a": 2}, 3]), ("row 0", "ORDERS")),
    Refused("types: beyond float32", batch([1, 2, 1e39]), ("VISITS",)),
    Refused("types: an integer beyond float32", batch([10**39, 2, 3]), ("SPENT",)),
    Refused("types: beyond a double", b'{"data":[[0,1,2,1e999]]}'),
    Refused("types: a bare NaN", b'{"data":[[0,1,2,NaN]]}', ("JSON",)),
    Refused("types: a bare Infinity", b'{"data":[[0,1,2,-Infinity]]}', ("JSON",)),
    Refused("object: an absent feature", batch([{"SPENT": 1, "ORDERS": 2}]), ("row 0", "missing", "VISITS")),
    Refused("object: an unknown feature", batch([{"SPENT": 1, "ORDERS": 2, "VISITS": 3, "SHOES": 4}]), ("unknown", "SHOES")),
    Refused("object: a string", batch([{"SPENT": SECRET_TEXT, "ORDERS": 2, "VISITS": 3}]), ("row 0", "SPENT")),
    Refused("object: NULL in place of it", batch([None]), ("row 0", "object"), AS_OBJECT),
    Refused("object: without the key", batch([{"SPENT": 1, "ORDERS": 2, "VISITS": 3}]), ("CUSTOMER_ID",), path=KEYED),
    Refused("packing: damaged gzip", gzip.compress(ONE)[:-8] + bytes(8), ("damaged",)),
    Refused("packing: gzip cut short", gzip.compress(ONE)[:-9], ("cut short",)),
    Refused("packing: damaged deflate", b"\x78\x9c" + b"\xff" * 20, ("damaged",), DEFLATE),
    Refused("packing: deep nesting", b'{"data":' + b"[" * 1000 + b"]" * 1000 + b"}", ("deep",)),
    Refused("size: plain", b" " * (LIMIT_BYTES + 1), (str(LIMIT_BYTES),), status=413),
    Refused("size: unpacked gzip", gzip.compress(b" " * (LIMIT_BYTES + 1)), (str(LIMIT_BYTES),), status=413),
    Refused("size: unpacked deflate", zlib.compress(b" " * (LIMIT_BYTES + 1)), (str(LIMIT_BYTES),), DEFLATE, status=413),
    Refused("names: an unknown model", ONE, ("nobody",), path="/predict/nobody", status=404),
]  # fmt: skip


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.rule)
def test_taken(churn: Service, model: tuple[xgboost.Booster, Path], case: Taken) -> None:
    answer = churn.post(case.path, content=case.body, headers=case.headers)
    assert answer.status_code == 200, answer.text
    matrix = np.array(case.rows, dtype=np.float64).reshape(-1, 3).astype(np.float32)
    scores = model[0].inplace_predict(matrix).astype(np.float64).tolist() if case.rows else []
    assert answer.json() == {"data": [[number, score] for number, score in enumerate(scores)]}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.rule)
def test_refused(churn: Service, case: Refused) -> None:
    answer = churn.post(case.path, content=case.body, headers=case.headers)
    assert answer.status_code == case.status, answer.text
    assert list(answer.json()) == ["error"]
    text = answer.json()["error"]
    assert [word for word in case.words if word not in text] == [], text
    assert len(text) < 400
    assert SECRET_TEXT not in text
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("value", ["2014-01-01", "16:00:00", "DEADBEEF", SECRET_TEXT, "4711.25"])
def test_a_refusal_holds_no_value(churn: Service, value: str) -> None:
    for body in (batch([value, 2, 3]), batch([{"SPENT": value, "ORDERS": 2, "VISITS": 3}])):
        assert value not in churn.post(PATH, content=body).text


# Of what is answered


@pytest.fixture(scope="module")
def answer(churn: Service) -> httpx.Response:
    chance = np.random.default_rng(3)
    return churn.post(PATH, content=batch(*chance.normal(size=(500, 3)).tolist()))


def test_answer_rows_ascend_from_0_with_one_value_each(answer: httpx.Response) -> None:
    rows = answer.json()["data"]
    assert list(answer.json()) == ["data"]
    assert [row[0] for row in rows] == list(range(500))
    assert {len(row) for row in rows} == {2}


def test_answer_content_md5_is_of_the_bytes_sent(answer: httpx.Response) -> None:
    assert answer.headers["content-md5"] == base64.b64encode(hashlib.md5(answer.content).digest()).decode()
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-type"] == "application/json"


def test_answer_scores_are_float32_widened_to_the_double_that_sql_reads(answer: httpx.Response) -> None:
    texts = re.findall(r"\[\d+,([^\]]+)\]", answer.text)
    assert len(texts) == 500
    assert all(float(text) == float(np.float32(text)) for text in texts)


@pytest.mark.parametrize("score", [NAN, float("inf"), float("-inf")])
def test_answer_never_has_nan_or_infinity(start: Callable[[Service], Service], score: float) -> None:
    endpoint = FakeEndpoint(lambda _, matrix, __: npy(np.full(len(matrix), score, np.float32)))
    answer = start(Service(endpoint, live_version())).post(PATH, content=ONE)
    strict = json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))
    assert answer.status_code >= 400 or strict["data"][0][1] is None


# Of batches that are sent again


@pytest.mark.parametrize(
    "batch_id",
    ["01b02bdf-0001-7b58-0003-27d60056b5a6:1:1:0:0", "019e0657:0:0", "x", "../..", "a b\tc", '"{}[],;=%00', "~" * 2000],
    ids=["2023", "2021", "short", "path", "blanks", "signs", "long"],
)
def test_batch_id_is_opaque_and_the_same_one_gives_the_same_bytes(churn: Service, batch_id: str) -> None:
    first, again = (churn.post(PATH, content=PRETTY, headers={BATCH_ID: batch_id}) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert first.headers["content-md5"] == again.headers["content-md5"]


@pytest.mark.parametrize(
    "error", [Overloaded("slow down"), TransientError("later", retry_after_s=2)], ids=["429", "503"]
)
def test_status_that_snowflake_repeats_for_what_may_pass(
    start: Callable[[Service], Service], error: TransientError
) -> None:
    answer = start(Service(FailingEndpoint(error), live_version())).post(PATH, content=ONE)
    assert answer.status_code in (429, 503)
    assert answer.status_code == error.http_status
    assert int(answer.headers["retry-after"]) >= 1


def test_status_that_snowflake_does_not_repeat_for_what_stays(start: Callable[[Service], Service]) -> None:
    answer = start(Service(FailingEndpoint(CallerError("another contract")), live_version())).post(PATH, content=ONE)
    assert answer.status_code == 400
    assert "retry-after" not in answer.headers


class FailingEndpoint(FakeEndpoint):
    """Fails each call with ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(self._fail)
        self._error = error

    def _fail(self, *_: object) -> bytes:
        raise self._error


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_access_needs_a_credential(churn: Service, method: str) -> None:
    answer = httpx.request(method, f"{churn.client.base_url}{PATH}", content=ONE, trust_env=False)
    assert answer.status_code == 401
    assert list(answer.json()) == ["error"]


def test_polling_for_an_unknown_batch_is_404(churn: Service) -> None:
    answer = churn.get(PATH, headers={BATCH_ID: "never-sent"})
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def test_polling_without_a_batch_id_is_400(churn: Service) -> None:
    assert churn.get(PATH).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_405_and_named(churn: Service, method: str) -> None:
    answer = churn.client.request(method, PATH)
    assert answer.status_code == 405
    assert {"POST", "GET"} <= set(answer.headers["allow"].replace(" ", "").split(","))


def test_all_headers_of_the_gateway_at_once(churn: Service) -> None:
    headers = {f"sf-custom-{number}": "x" * 1000 for number in range(8)}
    assert churn.post(PATH, content=ONE, headers={**headers, "x-amz-date": "20260101T000000Z"}).status_code == 200
