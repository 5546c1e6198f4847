"""The compiled readers of objects and of category values against the general path: they agree, or they decline the body."""

from __future__ import annotations

import json
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deploy.live import LiveVersion
from app.deploy.rules import ServingRules
from app.errors import CallerError
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.body import TooManyRows, parse_array
from app.serve.codecs.columns import decode_objects, read_plain
from app.serve.codecs.jit import categories, positional_reader
from app.serve.rows import Rows
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import encode_rows

from .fakes import live_version

PLANS = (
    "",
    "free",
    "paid",
    "pre-paid",
    "pre-paids",
    "12345678",
    "123456789",
    "größe",
    "日本",
    'a"b',
    "a\\b",
    "a\nb",
    "[{,}]",
    "x" * 40,
)
CONTRACT = Contract(
    (Column("SPENT"), Column("PLAN", "category", PLANS), Column("V", "category", ("free", "b"))), ("ID",), "L"
)
LIVE = live_version(contract=CONTRACT)
KEYED = live_version(contract=CONTRACT, key="ID")
ABSENT = replace(KEYED, rules=ServingRules(absent_is_null=True))
NAMES = CONTRACT.names


def outcome(decode: Any) -> Any:
    """The bytes of the matrix and the keys, or the error."""
    try:
        rows = decode()
    except CallerError as refused:
        return str(refused)
    return rows.matrix.tobytes(), None if rows.keys is None else list(rows.keys)


def agrees(body: bytes, live: LiveVersion, numbered: bool) -> bool:
    """Whether the compiled reader accepts the body. Fails the test if its result then differs from the general path's."""
    codec = {"key_required": numbered, "fold_case": not numbered}
    found = read_plain(body, live, numbered=numbered, **codec)
    if found is None:
        return False

    def general() -> Rows:
        items = parse_array(body, "data" if numbered else "rows")
        if numbered:
            assert [row[0] for row in items] == list(range(len(items)))
            assert all(type(row[0]) is int and len(row) == 2 for row in items)
            items = [row[1] for row in items]
        return decode_objects(live, items, **codec)

    assert outcome(lambda: found) == outcome(general)
    return True


def body_of(objects: list[Any], numbered: bool, **dumping: Any) -> bytes:
    rows = [[number, item] for number, item in enumerate(objects)] if numbered else objects
    return json.dumps({"data" if numbered else "rows": rows}, **dumping).encode()


NUMBER = (
    st.none()
    | st.booleans()
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
)
VALUE = st.fixed_dictionaries(
    {
        "SPENT": NUMBER,
        "PLAN": st.none() | st.sampled_from(PLANS) | st.sampled_from(["gold", "fre", "freee", 1, True]),
        "V": st.none() | st.sampled_from(["free", "b", "paid"]),
        "ID": st.none() | st.integers() | st.text(max_size=4) | st.just("c-1"),
    }
)


@given(
    st.lists(VALUE, min_size=1, max_size=5),
    st.permutations([*NAMES, "ID"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)
def test_objects_are_read_as_by_the_general_path(
    rows: list[dict[str, Any]], order: list[str], numbered: bool, ascii_only: bool, indent: int
) -> None:
    for live, keys in ((KEYED, order), (LIVE, [name for name in order if name != "ID"]), (ABSENT, order[1:])):
        objects = [{key: row[key] for key in keys} for row in rows]
        for dumping in (
            {"ensure_ascii": ascii_only, "indent": indent or None},
            {"ensure_ascii": False, "separators": (",", ":")},
        ):
            agrees(body_of(objects, numbered, **dumping), live, numbered)


@given(st.lists(VALUE, min_size=1, max_size=4))
def test_string_arguments_are_read_as_by_the_general_path(rows: list[dict[str, Any]]) -> None:
    values = [[row[name] for name in NAMES] for row in rows]
    body = json.dumps({"data": [[number, *row] for number, row in enumerate(values)]}, ensure_ascii=False).encode()
    found = positional_reader.parse(body, np.arange(3), categories.table_of(CONTRACT))
    if found is not None:
        matrix, unfit = encode_rows(CONTRACT, values)
        assert not unfit
        assert found[0].tobytes() == matrix.tobytes()


@pytest.mark.parametrize("category", PLANS)
def test_each_category_is_read_or_declined(category: str) -> None:
    body = json.dumps({"data": [[0, 1, category, "b"]]}, ensure_ascii=False).encode()
    found = positional_reader.parse(body, np.arange(3), categories.table_of(CONTRACT))
    escaped = any(character in category for character in '"\\\n')
    assert (found is None) == escaped
    if found is not None:
        assert found[0].tolist() == [[1, PLANS.index(category), 1]]


def test_many_categories_are_all_distinguished() -> None:
    many = tuple(f"{'c' * (number % 17)}{number}" for number in range(3000))
    contract = Contract((Column("A", "category", many), Column("B", "category", many[::-1])), ("ID",), "L")
    body = json.dumps({"data": [[at, name, name] for at, name in enumerate(many)]}).encode()
    found = positional_reader.parse(body, np.arange(2), categories.table_of(contract))
    assert found is not None
    assert found[0].tolist() == [[at, 2999 - at] for at in range(3000)]


TWO = ({"PLAN": "free", "ID": "c-1", "SPENT": 1.5, "V": None}, {"PLAN": None, "ID": 7, "SPENT": -2e3, "V": "b"})
GOOD = {True: body_of(list(TWO), True), False: body_of(list(TWO), False).replace(b"PLAN", b"plan")}


@pytest.mark.parametrize("numbered", [True, False])
def test_a_damaged_body_is_never_misread(numbered: bool) -> None:
    chance, body = random.Random(5), GOOD[numbered]
    assert agrees(body, KEYED, numbered)
    for cut in range(len(body)):
        assert read_plain(body[:cut], KEYED, numbered=numbered, key_required=numbered, fold_case=not numbered) is None
    alphabet = b'0123456789.,-eE[]{}": \x00\xffnulltruePLANIDSV'
    for _ in range(10_000):
        mutant = bytearray(body)
        for _ in range(chance.randint(1, 3)):
            begin = chance.randrange(len(mutant))
            mutant[begin : begin + chance.randint(0, 1)] = bytes(chance.choices(alphabet, k=chance.randint(0, 1)))
        agrees(bytes(mutant), KEYED, numbered)
        agrees(bytes(mutant), ABSENT, numbered)


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_agree_with_the_general_path(body: bytes, numbered: bool) -> None:
    agrees(body, ABSENT, numbered)
    agrees(b'{"data":[[0,{"PLAN":' + body, ABSENT, True)
    agrees(b'{"rows":[{"SPENT":' + body, ABSENT, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null}],[1,{"PLAN":null,"SPENT":1,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null}],[1,{"SPENT":1,"PLAN":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null}],[1,{"SPENT":1,"PLAN":null,"V":null,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null,"X":1}]]}',
        b'{"data":[[0,{"SPENT":"1","PLAN":null,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":1,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":true,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":"gold","V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":"fr\\u0065e","V":null}]]}',
        b'{"data":[[0,{"SPENT":1e39,"PLAN":null,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null},1]]}',
        b'{"data":[[1,{"SPENT":1,"PLAN":null,"V":null}]]}',
        b'{"data":[[0,{}]]}',
        b'{"data":[[0,{"SPENT":[1],"PLAN":null,"V":null}]]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null}],]}',
        b'{"data":[[0,{"SPENT":1,"PLAN":null,"V":null}]],"more":1}',
        b'{"data":[]}',
    ],
)
def test_unusual_bodies_are_declined(body: bytes) -> None:
    assert read_plain(body, LIVE, numbered=True, key_required=True, fold_case=False) is None


def test_without_the_optional_key_there_are_no_keys() -> None:
    rows = read_plain(
        b'{"rows":[{"spent":1,"V":"b","PLAN":""}]}', KEYED, numbered=False, key_required=False, fold_case=True
    )
    assert rows is not None
    assert (rows.matrix.tolist(), rows.keys) == ([[1, 0, 1]], None)


def test_braces_inside_strings_are_read_correctly() -> None:
    body = body_of([{"SPENT": 1, "PLAN": "[{,}]", "V": None}] * 3, True)
    assert agrees(body, LIVE, True)


@pytest.mark.parametrize("numbered", [True, False])
def test_rows_beyond_the_limit_are_refused_before_memory_is_taken_for_them(numbered: bool) -> None:
    names = tuple(f"F{number}" for number in range(1000))
    wide = Contract(tuple(Column(name) for name in names), ("ID",), "L")
    live = replace(live_version(contract=wide), rules=ServingRules(absent_is_null=True))
    # As float32, the features of these rows take 400 MB.
    body = body_of([{"F0": 1}] * 100_000, numbered)
    decode = snowflake.decode if numbered else named_rows.decode
    tracemalloc.start()
    try:
        with pytest.raises(TooManyRows, match="the request has 100000 rows, 1000 are allowed"):
            decode(body, live, {}, 1000)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_rows_up_to_the_limit_are_read() -> None:
    body = body_of([{"ID": 1}] * 5, True)
    assert len(snowflake.decode(body, ABSENT, {}, 5)) == 5
    with pytest.raises(TooManyRows):
        snowflake.decode(body, ABSENT, {}, 4)
