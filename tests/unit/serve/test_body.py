"""Request bodies: compression is detected from the content, and no body is unpacked beyond the limit."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs.body import TooLarge, parse_array, unpack
from tests.unit.serve.fakes import status_of

LIMIT = 10_000
JSON = b' \n{"data":[[0,1.5]]}'


@pytest.mark.parametrize("header", ["", "gzip", "deflate", "br"])
def test_plain_json_is_accepted_with_any_content_encoding(header: str) -> None:
    assert unpack(JSON, header, LIMIT) == JSON


@pytest.mark.parametrize("header", ["", "gzip", "identity"])
def test_gzip_is_detected_by_its_first_bytes(header: str) -> None:
    assert unpack(gzip.compress(JSON), header, LIMIT) == JSON


@given(st.binary(max_size=LIMIT), st.binary(max_size=100))
def test_all_members_of_a_gzip_body_are_unpacked(first: bytes, second: bytes) -> None:
    assert unpack(gzip.compress(first) + gzip.compress(second), "", LIMIT + 100) == first + second


def test_deflate_is_unpacked_with_and_without_the_zlib_header() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert unpack(zlib.compress(JSON), "deflate", LIMIT) == JSON
    assert unpack(bare.compress(JSON) + bare.flush(), "Deflate", LIMIT) == JSON


def test_deflate_is_not_detected_without_the_content_encoding() -> None:
    assert unpack(zlib.compress(JSON), "", LIMIT) == zlib.compress(JSON)


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress])
def test_the_limit_applies_to_unpacked_bytes(size: int, pack: object) -> None:
    packed = pack(b"{" * size)  # type: ignore[operator]
    if size <= LIMIT:
        assert len(unpack(packed, "deflate", LIMIT)) == size
    else:
        with pytest.raises(TooLarge, match="10000 bytes"):
            unpack(packed, "deflate", LIMIT)


def test_a_decompression_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack(bomb, "", LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_many_small_members_do_not_exceed_the_limit() -> None:
    with pytest.raises(TooLarge):
        unpack(gzip.compress(b"x" * 1000) * 11, "", LIMIT)


@pytest.mark.parametrize(
    "damage",
    [gzip.compress(JSON)[:-5], gzip.compress(JSON) + b"tail", b"\x1f\x8bnonsense"],
    ids=[
        "truncated",
        "trailing",
        "other",
    ],  # gzip's bytes contain the time, and the test workers must collect the same ids
)
def test_a_damaged_body_is_a_caller_error(damage: bytes) -> None:
    with pytest.raises(CallerError, match="compressed body"):
        unpack(damage, "", LIMIT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"{}",
        b'{"data":{}}',
        b'{"data":null}',
        b"{secret",
        b"\xff",
        b'{"data":[[0,1e999]]}',
        b"[" * 5000,
    ],
)
def test_an_invalid_batch_is_rejected_without_quoting_it(body: bytes) -> None:
    with pytest.raises(CallerError) as caught:
        parse_array(body, "data")
    assert "secret" not in str(caught.value)
    assert status_of(caught.value) == 400
