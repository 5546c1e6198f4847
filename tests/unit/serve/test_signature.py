"""Function signatures in the form that Snowflake sends."""

from __future__ import annotations

import base64

import pytest

from app.errors import CallerError
from app.serve.codecs.signature import BASE64_HEADER, PLAIN_HEADER, Signature, from_headers, parse


@pytest.mark.parametrize(
    ("text", "names", "kinds"),
    [
        ("()", (), ()),
        ("(N NUMBER)", ("N",), ("NUMBER",)),
        ("(A NUMBER(38,0), B VARCHAR(134217728))", ("A", "B"), ("NUMBER", "VARCHAR")),
        (
            "(A VECTOR(FLOAT, 3), B ARRAY(NUMBER(38,0)),C DOUBLE PRECISION)",
            ("A", "B", "C"),
            ("VECTOR", "ARRAY", "DOUBLE"),
        ),
        ('("total, (spent)" FLOAT, "say ""hi""" FLOAT)', ("total, (spent)", 'say "hi"'), ("FLOAT", "FLOAT")),
    ],
)
def test_names_and_kinds_are_parsed(text: str, names: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    assert parse(text) == Signature(names, kinds)


@pytest.mark.parametrize("text", ["A NUMBER", "(A)", "(A NUMBER,)", "(, A NUMBER)", "(A NUMBER", '("A NUMBER)'])
def test_an_invalid_signature_is_rejected(text: str) -> None:
    with pytest.raises(CallerError, match="signature could not be read"):
        parse(text)


def test_the_base64_header_overrides_the_plain_one_which_contains_blanks() -> None:
    encoded = base64.b64encode("(GRÖSSE FLOAT)".encode()).decode()
    found = from_headers({PLAIN_HEADER: "(GR SSE FLOAT)", BASE64_HEADER: encoded})
    assert found is not None
    assert found.names == ("GRÖSSE",)


def test_without_a_header_there_is_no_signature() -> None:
    assert from_headers({}) is None


def test_invalid_base64_is_rejected() -> None:
    with pytest.raises(CallerError, match="not base64"):
        from_headers({BASE64_HEADER: "%%%"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("(F OBJECT)", True), ("(F VARIANT)", True), ("(F FLOAT)", False), ("(A OBJECT, B OBJECT)", False)],
)
def test_the_object_form_is_recognised(text: str, expected: bool) -> None:
    assert parse(text).takes_object is expected
