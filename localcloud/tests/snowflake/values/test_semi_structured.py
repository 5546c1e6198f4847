"""VARIANT, OBJECT and ARRAY: FLATTEN, casts, the functions that Snowpark generates, SQL NULL and JSON null."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
_DOCUMENT = '{"a":1,"b":[77,88],"c":{"d":"X"},"e f":null}'


def _flat(sql: Sql, options: str) -> list[tuple[Any, ...]]:
    return sql(f"SELECT key, path, index, value, this FROM TABLE(FLATTEN(INPUT => PARSE_JSON('{_DOCUMENT}'){options}))")


def test_flatten_returns_one_level(sql: Sql) -> None:
    assert _flat(sql, "") == [
        ("a", "a", None, "1", _DOCUMENT),
        ("b", "b", None, "[77,88]", _DOCUMENT),
        ("c", "c", None, '{"d":"X"}', _DOCUMENT),
        ("e f", "['e f']", None, "null", _DOCUMENT),
    ]


def test_flatten_starts_at_a_path(sql: Sql) -> None:
    assert _flat(sql, ", PATH => 'b'") == [
        (None, "b[0]", 0, "77", "[77,88]"),
        (None, "b[1]", 1, "88", "[77,88]"),
    ]
    assert [row[1] for row in _flat(sql, ", PATH => 'c'")] == ["c.d"]


def test_flatten_with_recursive_and_mode(sql: Sql) -> None:
    assert [row[1] for row in _flat(sql, ", RECURSIVE => TRUE")] == ["a", "b", "b[0]", "b[1]", "c", "c.d", "['e f']"]
    assert [row[1] for row in _flat(sql, ", RECURSIVE => TRUE, MODE => 'ARRAY'")] == ["b[0]", "b[1]"]
    assert [row[1:] for row in _flat(sql, ", RECURSIVE => TRUE, MODE => 'object'")][3] == (
        "c.d",
        None,
        '"X"',
        '{"d":"X"}',
    )


def test_outer_returns_a_row_for_values_without_elements(sql: Sql) -> None:
    assert _flat(sql, ", PATH => 'a'") == []
    assert _flat(sql, ", PATH => 'a', OUTER => TRUE") == [(None, "", None, None, "1")]
    sql("CREATE TABLE t AS SELECT 1 id, ARRAY_CONSTRUCT(5, 6) a UNION ALL SELECT 2, ARRAY_CONSTRUCT()")
    joined = "SELECT id, value::INT FROM t, LATERAL FLATTEN(INPUT => a{}) ORDER BY 1, 2"
    assert sql(joined.format("")) == [(1, 5), (1, 6)]
    assert sql(joined.format(", OUTER => TRUE")) == [(1, 5), (1, 6), (2, None)]
    assert sql("SELECT id, f.seq FROM t LEFT JOIN LATERAL FLATTEN(INPUT => t.a) f WHERE f.seq IS NULL") == [(2, None)]


def test_nested_flatten(sql: Sql) -> None:
    rows = sql(
        f"SELECT f.key, g.path, g.value::STRING FROM TABLE(FLATTEN(PARSE_JSON('{_DOCUMENT}'))) f, "
        "LATERAL FLATTEN(INPUT => f.value) g ORDER BY 1, 2"
    )
    assert rows == [("b", "[0]", "77"), ("b", "[1]", "88"), ("c", "d", "X")]


@pytest.mark.parametrize(
    ("options", "errno"),
    [(", MODE => 'SET'", 1045), (", DEPTH => 2", 1044), (", PATH => 'a b'", 1003), (", PATH => CURRENT_USER()", 2)],
)
def test_invalid_flatten_options_are_rejected(sql: Sql, options: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        _flat(sql, options)
    assert caught.value.errno == errno


def test_strings_in_a_variant_are_cast_without_quotes(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT 'word'::VARIANT v, PARSE_JSON('{\"n\":null}') o, 5 n")
    sql("CREATE VIEW seen AS SELECT * FROM t")
    assert sql("SELECT v, v::STRING, TO_VARCHAR(v), n::STRING FROM seen") == [('"word"', "word", "word", "5")]
    assert sql("SELECT o:n IS NULL, IS_NULL_VALUE(o:n), o:n::STRING, o:m IS NULL FROM seen") == [
        (False, True, None, True)
    ]


def test_bracket_paths(sql: Sql) -> None:
    sql("""CREATE TABLE t AS SELECT PARSE_JSON('{"a b":[[{"c":1},{"c":"x"}],7]}') v""")
    assert sql("SELECT v['a b'][0][0]['c']::INT, v['a b'][0][1]['c'], v['a b'][0][1]['c']::STRING FROM t") == [
        (1, '"x"', "x")
    ]
    assert sql("SELECT v['a b'][1]::INT + 1, v['a b'][2], SPLIT('p.q', '.')[1]::STRING, v['z'][0] FROM t") == [
        (8, None, "q", None)
    ]


def test_typeof_of_variants(sql: Sql) -> None:
    (row,) = sql(
        "SELECT TYPEOF(PARSE_JSON('1')), TYPEOF(PARSE_JSON('1.5')), TYPEOF(PARSE_JSON('null')), TYPEOF('x'::VARIANT), "
        "TYPEOF(NULL::VARIANT), TYPEOF(ARRAY_CONSTRUCT()), TYPEOF(OBJECT_CONSTRUCT()), TYPEOF(TRUE::VARIANT)"
    )
    assert row == ("INTEGER", "DECIMAL", "NULL_VALUE", "VARCHAR", None, "ARRAY", "OBJECT", "BOOLEAN")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("ARRAY_SIZE(a)", 3),
        ("ARRAY_CONTAINS(2::VARIANT, a)", True),
        ("ARRAY_POSITION(1::VARIANT, a)", 1),
        ("ARRAY_APPEND(a, 'x')", [3, 1, 2, "x"]),
        ("ARRAY_CAT(a, ARRAY_CONSTRUCT(9))", [3, 1, 2, 9]),
        ("ARRAY_INSERT(a, 1, 7)", [3, 7, 1, 2]),
        ("ARRAY_SLICE(a, 0, -1)", [3, 1]),
        ("ARRAY_SORT(a)", [1, 2, 3]),
        ("ARRAY_SORT(a, FALSE)", [3, 2, 1]),
        ("ARRAY_MIN(a)", 1),
        ("ARRAY_MAX(a)", 3),
        ("ARRAY_REMOVE(a, 1)", [3, 2]),
        ("ARRAY_REMOVE_AT(a, 0)", [1, 2]),
        ("ARRAY_DISTINCT(ARRAY_CAT(a, a))", [3, 1, 2]),
        ("ARRAY_COMPACT(ARRAY_CONSTRUCT(1, NULL))", [1]),
        ("ARRAY_INTERSECTION(a, ARRAY_CONSTRUCT(2, 3))", [3, 2]),
        ("ARRAY_EXCEPT(a, ARRAY_CONSTRUCT(2))", [3, 1]),
        ("ARRAYS_OVERLAP(a, ARRAY_CONSTRUCT(8))", False),
        ("ARRAY_FLATTEN(ARRAY_CONSTRUCT(a, a))", [3, 1, 2, 3, 1, 2]),
        ("ARRAY_TO_STRING(a, '-')", "3-1-2"),
        ("ARRAY_GENERATE_RANGE(2, 5)", [2, 3, 4]),
        ("STRTOK_TO_ARRAY('a.b c', '. ')", ["a", "b", "c"]),
        ("OBJECT_KEYS(o)", ["k", "l"]),
        ("OBJECT_INSERT(o, 'm', 3)", {"k": 1, "l": "x", "m": 3}),
        ("OBJECT_INSERT(o, 'k', 3, TRUE)", {"l": "x", "k": 3}),
        ("OBJECT_DELETE(o, 'k')", {"l": "x"}),
        ("OBJECT_PICK(o, 'k')", {"k": 1}),
        ("OBJECT_DELETE(OBJECT_CONSTRUCT('z', 1), 'k')", {"z": 1}),
        ("AS_INTEGER(o:k)", 1),
        ("AS_INTEGER(o:l)", None),
        ("IS_VARCHAR(o:l)", True),
        ("TO_ARRAY(o:k)", [1]),
    ],
)
def test_functions_of_arrays_and_objects(sql: Sql, call: str, expected: Any) -> None:
    (row,) = sql(f"SELECT {call} FROM (SELECT ARRAY_CONSTRUCT(3, 1, 2) a, OBJECT_CONSTRUCT('k', 1, 'l', 'x') o)")
    value = row[0]
    if isinstance(value, str) and not call.startswith("ARRAY_TO_STRING"):
        value = json.loads(value)
    assert value == expected


def test_results_show_the_keys_of_objects_in_order(sql: Sql) -> None:
    made = "OBJECT_CONSTRUCT('b', 1, 'a', OBJECT_CONSTRUCT('d', 5, 'c', '\"'))"
    assert sql(f"SELECT {made}, ARRAY_CONSTRUCT({made}):[0]:a") == [
        ('{"a":{"c":"\\"","d":5},"b":1}', '{"c":"\\"","d":5}')
    ]


def test_array_generate_range_takes_whole_numbers_of_floats(sql: Sql) -> None:
    assert sql("SELECT ARRAY_TO_STRING(ARRAY_GENERATE_RANGE(-2.9::FLOAT, 2.9::FLOAT), ' ')") == [("-2 -1 0 1",)]


def test_array_unique_agg_skips_null(sql: Sql) -> None:
    (row,) = sql("SELECT ARRAY_UNIQUE_AGG(column1) FROM VALUES (1), (1), (NULL), (2)")
    assert sorted(json.loads(row[0])) == [1, 2]


@pytest.mark.parametrize(
    ("call", "errno"),
    [("PARSE_JSON('{bad')", 100_069), ("TO_OBJECT(PARSE_JSON('[1]'))", 100_071), ("OBJECT_INSERT(o, 'k', 2)", 100_103)],
)
def test_invalid_arguments_fail(sql: Sql, call: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(f"SELECT {call} FROM (SELECT OBJECT_CONSTRUCT('k', 1) o)")
    assert caught.value.errno == errno


def test_keys_of_an_object_constant_are_texts(sql: Sql) -> None:
    (row,) = sql("SELECT {'a': 1}['a'], {'a': 1}:a, {'A': 1}:a, {'a b': {'C': [1, 2]}}:\"a b\".C[1], {'a': {'b': 'x'}}")
    assert (*row[:4], json.loads(row[4])) == ("1", "1", None, "2", {"a": {"b": "x"}})
    assert sql("SELECT o:k::INT + 1, o['k']::STRING FROM (SELECT {'k': 6} o)") == [(7, "6")]


@pytest.fixture
def wide(sql: Sql) -> str:
    sql("CREATE TABLE wide (a INT, b VARCHAR, ab FLOAT)")
    sql("INSERT INTO wide VALUES (1, 'x', 2.5), (2, NULL, NULL)")
    return "wide"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("OBJECT_CONSTRUCT(*)", [{"A": 1, "B": "x", "AB": 2.5}, {"A": 2}]),
        ("OBJECT_CONSTRUCT(wide.*)", [{"A": 1, "B": "x", "AB": 2.5}, {"A": 2}]),
        ("OBJECT_CONSTRUCT(* EXCLUDE b)", [{"A": 1, "AB": 2.5}, {"A": 2}]),
        ("OBJECT_CONSTRUCT(* EXCLUDE (a, ab))", [{"B": "x"}, {}]),
        ("OBJECT_CONSTRUCT(* ILIKE 'a%')", [{"A": 1, "AB": 2.5}, {"A": 2}]),
        ("OBJECT_CONSTRUCT(wide.* ILIKE '%b')", [{"B": "x", "AB": 2.5}, {}]),
        ("OBJECT_CONSTRUCT_KEEP_NULL(*)", [{"A": 1, "B": "x", "AB": 2.5}, {"A": 2, "B": None, "AB": None}]),
        ("OBJECT_CONSTRUCT_KEEP_NULL(* EXCLUDE ab)", [{"A": 1, "B": "x"}, {"A": 2, "B": None}]),
        ("{*}", [{"A": 1, "B": "x", "AB": 2.5}, {"A": 2}]),
        ("{wide.*}", [{"A": 1, "B": "x", "AB": 2.5}, {"A": 2}]),
        ("{* EXCLUDE (b)}", [{"A": 1, "AB": 2.5}, {"A": 2}]),
        ("{* ILIKE 'A_'}", [{"AB": 2.5}, {}]),
        ("OBJECT_INSERT({* ILIKE 'a'}, 'n', {*} IS NULL)", [{"A": 1, "n": False}, {"A": 2, "n": False}]),
    ],
)
def test_a_wildcard_makes_an_object_of_the_columns(sql: Sql, wide: str, made: str, expected: list[Any]) -> None:
    assert [json.loads(row[0]) for row in sql(f"SELECT {made} FROM {wide} ORDER BY a")] == expected


def test_a_wildcard_reads_all_sources_of_its_select(sql: Sql, wide: str) -> None:
    sql("CREATE VIEW seen AS SELECT {*} o FROM wide JOIN (SELECT 1 a, 7 c) USING (a)")
    assert json.loads(sql("SELECT o FROM seen")[0][0]) == {"A": 1, "B": "x", "AB": 2.5, "C": 7}
    (row,) = sql("WITH w AS (SELECT b FROM wide) SELECT (WITH v AS (SELECT * FROM w) SELECT MAX({*}:B) FROM v)")
    assert row == ('"x"',)
    (row,) = sql("SELECT {f.* ILIKE 'v%'}, {w.* EXCLUDE (b, ab)} FROM wide w, LATERAL FLATTEN([w.a]) f WHERE a = 2")
    assert [json.loads(value) for value in row] == [{"VALUE": 2}, {"A": 2}]
    (row,) = sql("SELECT (SELECT ARRAY_AGG({*}) FROM TABLE(FLATTEN(INPUT => o:l)) f) FROM (SELECT {'l': [1]} o)")
    assert json.loads(row[0])[0]["VALUE"] == 1


@pytest.mark.parametrize(
    ("query", "errno"),
    [
        ("SELECT {* EXCLUDE z} FROM wide", 904),
        ("SELECT {*} FROM wide w JOIN wide v ON w.a = v.a", 100_103),
        ("SELECT {'k': 1, *} FROM wide", 2),
        ("SELECT {*} FROM missing", 2003),
    ],
)
def test_invalid_wildcards_are_rejected(sql: Sql, wide: str, query: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(query)
    assert caught.value.errno == errno


@pytest.mark.parametrize(
    ("arrays", "zipped"),
    [
        ("[1, 2], ['a', 'b']", '[{"$1":1,"$2":"a"},{"$1":2,"$2":"b"}]'),
        ("[1], ['a', 'b'], [{'k': 0.5}]", '[{"$1":1,"$2":"a","$3":{"k":0.5}},{"$1":null,"$2":"b","$3":null}]'),
        ("ARRAY_APPEND([1], 2)", '[{"$1":1},{"$1":2}]'),
        ("[], []", '[{"$1":null,"$2":null}]'),
        ("NULL::ARRAY, [1]", None),
    ],
)
def test_arrays_zip_makes_an_object_of_each_position(sql: Sql, arrays: str, zipped: str | None) -> None:
    ((found,),) = sql(f"SELECT ARRAYS_ZIP({arrays})")
    assert (found and "".join(found.split())) == zipped
