"""Limits of a JSON body: depth and containers are counted as a parser does, and too large bodies are rejected unparsed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs.body import TooLarge, check_length, parse_array
from app.serve.codecs.jit import json_limits
from tests.unit.serve.fakes import status_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def measured(value: Any) -> tuple[int, int]:
    """(greatest depth, number of containers)."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [measured(item) for item in (value if isinstance(value, list) else value.values())]
    return 1 + max((depth for depth, _ in inner), default=0), 1 + sum(containers for _, containers in inner)


@given(JSON, st.booleans())
def test_depth_and_containers_equal_a_parsers(value: Any, ascii_only: bool) -> None:
    for body in (json.dumps(value, ensure_ascii=ascii_only, indent=1).encode(), orjson.dumps(value, default=str)):
        depth, containers = json_limits._measure(np.frombuffer(body, dtype=np.uint8), 1000, 10**9)
        assert (depth, containers) == measured(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted(body: bytes) -> None:
    try:
        json_limits.check(body)
    except CallerError:
        assert body.count(b"[") + body.count(b"{") > json_limits.MAX_DEPTH


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"a":'])
def test_too_deep_bodies_return_400(unit: bytes) -> None:
    with pytest.raises(CallerError, match="nests arrays and objects more than 32 deep") as caught:
        parse_array(b'{"data":' + unit * 1_000_000, "data")
    assert status_of(caught.value) == 400


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"[0,{}],"])
def test_bodies_with_too_many_containers_return_413(unit: bytes) -> None:
    with pytest.raises(CallerError, match="more than 262144 arrays and objects") as caught:
        parse_array(b'{"data":[' + unit * 300_000 + b"0]}", "data")
    assert status_of(caught.value) == 413


def test_brackets_in_strings_are_not_counted() -> None:
    text = '["\\' * 1000 + "[{" * 300_000
    assert parse_array(orjson.dumps({"data": [[0, text]]}), "data") == [[0, text]]


@pytest.mark.parametrize(
    ("length", "fits"), [("100", True), ("101", False), ("9" * 30, False), ("", True), ("x", True)]
)
def test_a_body_with_a_too_large_content_length_is_rejected_unread(length: str, fits: bool) -> None:
    headers = {"content-length": length}
    if fits:
        check_length(headers, 100)
    else:
        with pytest.raises(TooLarge, match="larger than 100 bytes"):
            check_length(headers, 100)
