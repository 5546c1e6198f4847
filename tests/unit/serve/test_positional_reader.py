"""The compiled reader of batches against a reference: it agrees, or it declines the body."""

from __future__ import annotations

import json
import random
import struct
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs import snowflake
from app.serve.codecs.jit import categories, positional_reader

from .fakes import live_version

LIVE, KEYED = live_version(), live_version(key="CUSTOMER_ID")
COLUMNS = np.arange(3)
TEXTS = categories.table_of(LIVE.contract)


def reference(body: bytes) -> np.ndarray | None:
    """The matrix of a valid body, decoded slowly; None for an invalid one."""
    try:
        rows = json.loads(body)["data"]
        values = [[np.nan if value is None else float(value) for value in row[1:]] for row in rows]
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    numbered = all(type(row[0]) is int and row[0] == number for number, row in enumerate(rows))
    plain = all(value is None or isinstance(value, int | float) for row in rows for value in row[1:])
    if not numbered or not plain or any(len(row) != 4 for row in rows):
        return None
    with np.errstate(over="ignore"):
        matrix = np.array(values, dtype=np.float64).astype(np.float32).reshape(len(rows), 3)
    return None if np.isinf(matrix).any() else matrix


def agrees(body: bytes) -> bool:
    """Whether the compiled reader accepts the body. Fails the test if its result then differs from the reference."""
    found = positional_reader.parse(body, COLUMNS, TEXTS)
    if found is None:
        return False
    wanted = reference(body)
    assert wanted is not None
    assert found[0].tobytes() == wanted.tobytes()
    return True


digits = st.text("0123456789", min_size=1, max_size=22)
notations = (
    st.builds(lambda a, b, c, d: a + b + c + d, st.sampled_from(["", "-"]), digits, digits.map(".{}".format) | st.just(""),
              st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 400)))
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(2**64), 2**64).map(str)
    | st.sampled_from(["null", "true", "false", "9e99", "1e39", "3.4028235e38", "3.4028236e38", "1e-46"])
    | st.sampled_from(["-0", "0.0", "1.", ".5", "+1", "01"])
)  # fmt: skip
gaps = st.sampled_from(["", " ", "\n", "\t\r "])


@given(st.lists(st.tuples(notations, notations, notations), max_size=4), gaps, gaps)
def test_numbers_are_read_as_by_python(rows: list[tuple[str, str, str]], one: str, two: str) -> None:
    inner = f"{one},{two}".join(
        f"[{one}{number}{two},{one}{row[0]},{two}{row[1]}{one},{row[2]}{two}]" for number, row in enumerate(rows)
    )
    agrees(f'{one}{{{two}"data"{one}:{two}[{one}{inner}{two}]{one}}}{two}'.encode())


def test_the_shortest_notation_of_random_doubles_is_read_exactly() -> None:
    chance = random.Random(1)
    for _ in range(200):
        bits = [chance.getrandbits(64) for _ in range(30)]
        values = [struct.unpack("<d", struct.pack("<Q", value))[0] for value in bits]
        scaled = [value for value in values if 1e-30 < abs(value) < 1e30] or [0.1]
        for value in scaled:
            assert agrees(f'{{"data":[[0,{value!r},0,1]]}}'.encode()), value


def test_numbers_half_way_between_two_doubles_round_to_even() -> None:
    chance = random.Random(2)
    for _ in range(500):
        halfway = (2 * chance.randint(2**52, 2**53 - 1) + 1) * chance.choice([1, 2, 4])
        assert agrees(f'{{"data":[[0,{halfway},{halfway}e1,{halfway}.0]]}}'.encode())


BODY = b'{"data": [[0, 1.5, null, -2e3], [1, 123456789.25, true, 0.001]]}'


def test_a_damaged_body_is_never_misread() -> None:
    chance = random.Random(3)
    assert agrees(BODY)
    for cut in range(len(BODY)):
        assert not agrees(BODY[:cut])
    alphabet = b'0123456789.,-+eE[]{}": \x00\xffnulltrue'
    for _ in range(20_000):
        mutant = bytearray(BODY)
        for _ in range(chance.randint(1, 3)):
            begin = chance.randrange(len(mutant))
            mutant[begin : begin + chance.randint(0, 1)] = bytes(chance.choices(alphabet, k=chance.randint(0, 1)))
        agrees(bytes(mutant))


@given(st.binary(max_size=80))
def test_any_bytes_agree_with_the_reference(body: bytes) -> None:
    agrees(body)
    agrees(b'{"data":[[0,' + body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[[0,1,2]]}',
        b'{"data":[[0,1,2,3,4]]}',
        b'{"data":[[0,1,2,3,1],[1,2,3]]}',
        b'{"data":[[1,1,2,3]]}',
        b'{"data":[[00,1,2,3]]}',
        b'{"data":[[0,1,2,3],[0,1,2,3]]}',
        b'{"data":[[0,1,2,3]],"more":1}',
        b'{"more":[],"data":[[0,1,2,3]]}',
        b'{"data":[[0,1,2,"3"]]}',
        b'{"data":[[0,1,2,[3]]]}',
        b'{"data":[[0,1,2,1e39]]}',
        b'{"data":[[0,1,2,NaN]]}',
        b'{"data":[[0,1,2,3],]}',
        b'{"data":[[0,1,2,3]]}x',
        b'{"data":[[0,1,2,3]]',
        b'[[0,1,2,3]]',
    ],
)  # fmt: skip
def test_unusual_bodies_are_declined(body: bytes) -> None:
    assert positional_reader.parse(body, COLUMNS, TEXTS) is None


def test_a_huge_number_is_not_read_as_null() -> None:
    assert positional_reader.parse(b'{"data":[[0,9e37,1e38,null]]}', COLUMNS, TEXTS)[0].tolist()[0][:2] == [  # type: ignore[index]
        float(np.float32(9e37)),
        float(np.float32(1e38)),
    ]


keys = st.integers(-(2**70), 2**70) | st.none() | st.booleans() | st.text() | st.text("abcXYZ019-_ ", max_size=40)


@given(st.lists(keys, min_size=1, max_size=5))
def test_keys_stay_in_the_body_and_are_decoded_on_demand(given_keys: list[object]) -> None:
    body = json.dumps({"data": [[number, key, 1, 2, 3] for number, key in enumerate(given_keys)]}).encode()
    with suppress(CallerError):
        rows = snowflake.decode_batch(body, KEYED, None)
        wanted = [row[1] for row in orjson.loads(body)["data"]]
        assert list(rows.keys or []) == wanted
        assert rows.matrix.tolist() == [[1, 2, 3]] * len(given_keys)
