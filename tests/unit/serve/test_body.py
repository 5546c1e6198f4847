"""Request bodies: compression is detected from the content, and no body is unpacked beyond the limit."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs.body import MAX_MEMBERS, TooLarge, is_short, number_up_to, parse_array, unpack
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


@given(
    st.binary(max_size=3000) | st.text("0123456789.,[] ", max_size=3000).map(str.encode),
    st.sampled_from([0, 1, 6, 9]),
    st.sampled_from([31, 15, -15]),
    st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]),
    st.integers(0, 3000),
)
def test_what_zlib_packs_is_unpacked_with_every_level_strategy_and_flush(
    data: bytes, level: int, window: int, strategy: int, flushed_at: int
) -> None:
    packer = zlib.compressobj(level, wbits=window, strategy=strategy)
    flushed = packer.compress(data[:flushed_at]) + packer.flush(zlib.Z_FULL_FLUSH)
    assert unpack(flushed + packer.compress(data[flushed_at:]) + packer.flush(), "deflate", LIMIT) == data


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_body_with_one_wrong_bit_is_never_unpacked_to_other_bytes(content: bytes, draw: st.DataObject) -> None:
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[draw.draw(st.integers(2, len(packed) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        unpacked = unpack(bytes(packed), "", LIMIT)
    except CallerError:
        return
    assert unpacked == content  # a bit of the header that decides nothing, such as the time


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


def members(count: int, each: bytes) -> bytes:
    return gzip.compress(each) * count


def test_members_of_a_gzip_body_are_bounded() -> None:
    assert unpack(members(MAX_MEMBERS, b"{}"), "", LIMIT) == b"{}" * MAX_MEMBERS
    with pytest.raises(CallerError, match=f"more than {MAX_MEMBERS} members"):
        unpack(members(500_000, b""), "", LIMIT)  # 10 MB that hold nothing


def test_members_at_every_boundary_of_a_piece_are_unpacked() -> None:
    chance = random.Random(5)
    parts = [chance.randbytes(chance.choice([0, 1, 65_000, 65_536, 70_000, 200_000])) for _ in range(30)]
    assert unpack(b"".join(map(gzip.compress, parts)), "", 10**7) == b"".join(parts)
    cut = b"".join(map(gzip.compress, parts))[:-1]
    with pytest.raises(CallerError, match="cut short"):
        unpack(cut, "", 10**7)


@pytest.mark.parametrize(
    ("raw", "encoding", "short"),
    [
        (JSON, "", True),
        (b" " * 101, "", False),
        (gzip.compress(JSON), "gzip", True),
        (gzip.compress(b" " * 100), "", True),
        (gzip.compress(b" " * 101), "", False),
        (gzip.compress(b" " * 10**6)[:90], "", False),
        (zlib.compress(b" " * 101), "deflate", False),
        (zlib.compress(JSON), "deflate", True),
        (b"\x1f\x8bnot gzip", "", False),
    ],
)
def test_a_body_is_short_if_it_is_short_unpacked(raw: bytes, encoding: str, short: bool) -> None:
    assert is_short(raw, encoding, 100) is short


@pytest.mark.parametrize(
    ("digits", "found"),
    [("0", 0), ("000017", 17), ("100", 100), ("101", None), ("9" * 5000, None), ("0" * 5000 + "7", 7), ("", None)]
    + [(text, None) for text in ("-1", "+1", "1.0", " 1", "0x1", "²", "٣", "1e2")],
)
def test_lengths_of_any_number_of_digits_are_read_or_refused(digits: str, found: int | None) -> None:
    assert number_up_to(digits, 100) == found
