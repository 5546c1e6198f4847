"""Names, string literals and times in SQL: round trips, and no injection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlglot
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import exp

from app.errors import CallerError
from app.sql import Name, ScriptStatement, columns, identifier, literal, naive_utc, split_script, stage_path, timestamp

HOSTILE = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=40)

FIXED_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("orders", ("ORDERS",)),
        ("raw.orders", ("RAW", "ORDERS")),
        ("db.raw.orders$1", ("DB", "RAW", "ORDERS$1")),
        ('RAW."my table"', ("RAW", "my table")),
        ('"a""b"', ('a"b',)),
        ('"a.b".c', ("a.b", "C")),
        ("_x1", ("_X1",)),
    ],
)
def test_a_name_is_read_as_snowflake_stores_it(text: str, parts: tuple[str, ...]) -> None:
    assert Name.parse(text).parts == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.b.c.d",
        "1a",
        "a b",
        "a;b",
        '"',
        '""',
        '"a',
        'a"b"',
        "a-b",
        "a\n",
        "ä",
        "a--",
        '"\x00"',
    ],
)
def test_an_invalid_name_is_rejected_with_a_remedy(text: str) -> None:
    with pytest.raises(CallerError, match="is not a name in Snowflake: write up to three parts"):
        Name.parse(text)


@pytest.mark.parametrize("parts", [(), ("A", "B", "C", "D"), ("",), ("A\x00",), ("A" * 256,)])
def test_parts_that_snowflake_cannot_store_are_rejected(parts: tuple[str, ...]) -> None:
    with pytest.raises(CallerError, match="is not a name in Snowflake"):
        Name.of(*parts)


@given(st.lists(HOSTILE, min_size=1, max_size=3))
@example(['"; DROP TABLE x; --'])
@example(["'", "\\", '"'])
def test_a_quoted_name_is_unchanged_by_a_round_trip(parts: list[str]) -> None:
    name = Name.of(*parts)
    assert Name.parse(name.sql) == name


@given(HOSTILE)
@example('"; DROP TABLE x; --')
@example('a" AS "b')
@example("a\\")
@example("/* */ -- ?")
def test_a_hostile_identifier_is_exactly_one_identifier_for_snowflake(text: str) -> None:
    tree = sqlglot.parse_one(f"SELECT {identifier(text)} FROM t", read="snowflake")
    assert isinstance(tree, exp.Select)
    (column,) = tree.expressions
    assert isinstance(column, exp.Column)
    assert isinstance(column.this, exp.Identifier)
    assert (column.name, column.this.quoted, column.table) == (text, True, "")


@given(st.lists(HOSTILE, min_size=1, max_size=3))
def test_a_hostile_table_name_is_exactly_one_table_for_snowflake(parts: list[str]) -> None:
    tree = sqlglot.parse_one(f"SELECT 1 FROM {Name.of(*parts).sql}", read="snowflake")
    (table,) = tree.find_all(exp.Table)
    assert [part.name for part in table.parts] == parts


@given(st.lists(st.from_regex(r"[A-Z_][A-Z0-9_$]{0,10}|[a-z ]{1,10}", fullmatch=True), min_size=1, max_size=3))
def test_a_displayed_name_is_unchanged_by_a_round_trip(parts: list[str]) -> None:
    assert Name.parse(str(Name.of(*parts))) == Name.of(*parts)


@pytest.mark.parametrize("part", ['a"b', '"A"', 'a"."b'])
def test_a_displayed_name_that_contains_quotes_is_unchanged_by_a_round_trip(part: str) -> None:
    assert Name.parse(str(Name.of("RAW", part))) == Name.of("RAW", part)


def test_a_name_that_is_too_long_is_rejected() -> None:
    with pytest.raises(CallerError):
        Name.parse("A" * 256)


def test_a_name_is_displayed_with_quotes_only_if_it_needs_them() -> None:
    assert str(Name.of("RAW", "ORDERS")) == "RAW.ORDERS"
    assert str(Name.of("RAW", "my table")) == 'RAW."my table"'


def test_a_sibling_is_in_the_same_schema() -> None:
    assert Name.parse("db.ml.a").sibling("B") == Name.of("DB", "ML", "B")


def test_columns_are_quoted_and_joined() -> None:
    assert columns(["A", 'b"c']) == '"A", "b""c"'


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",))))
@example("it's")
@example("\\")
@example("\\'")
@example("' OR 1=1 --")
@example("line\nbreak\ttab")
@example("\\n")
def test_a_literal_is_exactly_one_string_for_snowflake(text: str) -> None:
    tree = sqlglot.parse_one(f"SELECT {literal(text)}", read="snowflake")
    (found,) = tree.expressions
    assert isinstance(found, exp.Literal)
    assert (found.is_string, found.this) == (True, text)


def test_a_literal_escapes_quotes_and_backslashes() -> None:
    assert literal("a'b\\c") == "'a''b\\\\c'"


def test_an_unterminated_literal_is_rejected() -> None:
    with pytest.raises(CallerError, match="NUL"):
        literal("a\x00b")


def test_a_stage_path_is_rendered() -> None:
    assert (
        stage_path(Name.parse("ml.lake"), "churn/19980701-aa/export/data/") == "@ML.LAKE/churn/19980701-aa/export/data/"
    )


@pytest.mark.parametrize("path", ["", "a b", "a'b", "a)", "a;b", "a\n", "ä", "a@b", "a\\b"])
def test_a_stage_path_that_needs_quotes_is_rejected(path: str) -> None:
    with pytest.raises(CallerError, match="is not a path on a stage"):
        stage_path(Name.of("ML", "LAKE"), path)


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=FIXED_OFFSETS))
def test_a_timestamp_is_converted_to_utc_without_a_zone(value: datetime) -> None:
    found = naive_utc(value)
    assert found.tzinfo is None
    assert found.replace(tzinfo=UTC) == value
    assert timestamp(value) == timestamp(found)


def test_a_timestamp_is_rendered_as_a_constant() -> None:
    east = timezone(timedelta(hours=2))
    assert timestamp(datetime(1998, 7, 1, 2, tzinfo=east)) == "'1998-07-01 00:00:00'::TIMESTAMP_NTZ"
    assert timestamp(datetime(1998, 7, 1, 0, 0, 0, 5)) == "'1998-07-01 00:00:00.000005'::TIMESTAMP_NTZ"


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        (";; SELECT 1 ;; SELECT 2 ; ", ["SELECT 1", "SELECT 2"]),
        ("", []),
        (" \n-- nothing; here\n/* nor; here */ ;", []),
        ("SELECT 'a;b', \"c;d\"; SELECT 2", ["SELECT 'a;b', \"c;d\"", "SELECT 2"]),
        ("SELECT 'it''s; one'; SELECT 2", ["SELECT 'it''s; one'", "SELECT 2"]),
        (r"SELECT 'it\'s; one'; SELECT 2", [r"SELECT 'it\'s; one'", "SELECT 2"]),
        ("EXECUTE IMMEDIATE $$BEGIN; 'a; END$$; SELECT 2", ["EXECUTE IMMEDIATE $$BEGIN; 'a; END$$", "SELECT 2"]),
        ("SELECT 1 -- one; two\n + 1; SELECT 2", ["SELECT 1 -- one; two\n + 1", "SELECT 2"]),
        ("SELECT 1 // one; two\n; SELECT 2", ["SELECT 1 // one; two", "SELECT 2"]),
        ("PUT file:///tmp/a.csv @~; SELECT 2", ["PUT file:///tmp/a.csv @~", "SELECT 2"]),
        ("SELECT 4 / 2 - 1; SELECT $1", ["SELECT 4 / 2 - 1", "SELECT $1"]),
        ("SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]),
        ("SELECT 1 /* open; SELECT 2", ["SELECT 1 /* open; SELECT 2"]),
    ],
)
def test_a_script_is_split_at_semicolons_outside_of_quotes_and_comments(script: str, statements: list[str]) -> None:
    assert [part.text for part in split_script(script)] == statements


def test_the_statements_of_a_script_know_their_lines() -> None:
    script = "-- a file\n\nSELECT\n 1;\n  /* two */ SELECT 2;SELECT 3"
    assert split_script(script) == [
        ScriptStatement("SELECT\n 1", 3), ScriptStatement("SELECT 2", 5), ScriptStatement("SELECT 3", 5),
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["'", '"', "$$", ";", "--", "/*", "*/", "\n", " ", "a", "\\", "/", "-", "$"]), max_size=30)
)
def test_no_word_of_a_script_is_lost(parts: list[str]) -> None:
    script = "".join(parts)
    found = split_script(script)
    position = 0
    for statement in found:
        position = script.index(statement.text, position) + len(statement.text)
    assert all(statement.text.strip() for statement in found)
    assert ("a" in script) or all("a" not in statement.text for statement in found)
