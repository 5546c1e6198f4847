"""String functions, and texts of binaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("TRIM('xxaxx', 'x')", "a"),
        ("LTRIM('0001', '0')", "1"),
        ("RTRIM('$12$.00', '$.0')", "$12"),
        ("TRIM('xyaxby', 'yx')", "axb"),
        ("TRIM(' a ')", "a"),
        ("LTRIM(' a ')", "a "),
        ("TRIM(NULL, 'x')", None),
        ("TRIM('a', NULL)", None),
        ("LTRIM(100200, '1')", "00200"),
        ("TRIM(PARSE_JSON('\"-a-\"'), '-')", "a"),
    ],
)
def test_characters_are_trimmed(sql: Sql, text: str, answer: str | None) -> None:
    assert sql(f"SELECT {text}") == [(answer,)]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("TO_VARCHAR(TO_BINARY('SNOW', 'UTF-8'))", "534E4F57"),
        ("TO_CHAR(X'AB5C')", "AB5C"),
        ("TO_BINARY('ABCD')::VARCHAR", "ABCD"),
        ("MD5_BINARY('a')::VARCHAR", "0CC175B9C0F1B6A831C399E269772661"),
        ("TO_VARCHAR(NULL::BINARY)", None),
    ],
)
def test_a_binary_as_text_is_hexadecimal(sql: Sql, text: str, answer: str | None) -> None:
    assert sql(f"SELECT {text}") == [(answer,)]


def test_a_binary_column_as_text_is_hexadecimal(sql: Sql) -> None:
    sql("CREATE TABLE binaries AS SELECT TO_BINARY('00FF5C') AS b")
    assert sql("SELECT b::VARCHAR, TO_VARCHAR(b), CAST(b AS STRING) FROM binaries") == [("00FF5C",) * 3]


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("' a ' COLLATE 'en_US-trim' = 'a'", True),
        ("'a' = COLLATE(' a ', 'trim')", True),
        ("' a ' COLLATE 'rtrim' = 'a'", False),
        ("' a ' COLLATE 'ltrim' = 'a '", True),
        ("' a ' COLLATE 'trim' < 'b'", True),
        ("COLLATION('a' COLLATE 'de') = 'de'", True),
    ],
)
def test_collations_trim_in_comparisons(sql: Sql, condition: str, answer: bool) -> None:
    assert sql(f"SELECT {condition}") == [(answer,)]


def test_concat_of_one_value_is_a_text(sql: Sql) -> None:
    assert sql("SELECT CONCAT(4), CONCAT(NULL)") == [("4", None)]
