"""Functions that DuckDB lacks or names otherwise: buckets, patterns, lambdas, splits to rows, dynamic PIVOT, GET_DDL."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("WIDTH_BUCKET(5, 0, 10, 5)", 3),
        ("WIDTH_BUCKET(-1, 0, 10, 5)", 0),
        ("WIDTH_BUCKET(10, 0, 10, 5)", 6),
        ("WIDTH_BUCKET(9.99, 0, 10, 5)", 5),
        ("WIDTH_BUCKET(NULL, 0, 10, 5)", None),
        ("TRY_TO_TIMESTAMP('2024-01-01 10:00:00')", datetime(2024, 1, 1, 10)),
        ("TRY_TO_TIMESTAMP(SUBSTR('2024-01-01x', 1, 10))", datetime(2024, 1, 1)),
        ("TRY_TO_TIMESTAMP(LOWER('X'))", None),
        ("TRY_TO_TIMESTAMP('01/02/2024', 'MM/DD/YYYY')", datetime(2024, 1, 2)),
        ("TRY_TO_DATE(LOWER('X'))", None),
        ("TRY_TO_TIME(LOWER('X'))", None),
        # As Snowpark writes it: with position, occurrence and parameters.
        ("REGEXP_REPLACE('abcb', 'b', 'X', 1, 0, 'c')", "aXcX"),
        ("REGEXP_REPLACE('abcb', 'b', 'X', 1, 2)", "abcX"),
        ("REGEXP_REPLACE('abcb', 'B', 'X', 3, 0, 'i')", "abcX"),
        ("REGEXP_REPLACE('abcb', 'B', 'X', 1, 0, 'ic')", "abcb"),
        ("REGEXP_REPLACE('abcb', 'b')", "ac"),
        ("REGEXP_REPLACE('John Doe', '(\\\\w+) (\\\\w+)', '\\\\2 \\\\1')", "Doe John"),
        ("REGEXP_REPLACE('abc', 'b', 'X', 9)", "abc"),
        ("REGEXP_REPLACE(NULL, 'a', 'b', 1, 1)", None),
        ("REGEXP_COUNT('abcabc', 'a', 2, 'c')", 1),
        ("REGEXP_COUNT('aBc', 'b', 1, 'i')", 1),
        ("SOUNDEX('Robert') || SOUNDEX('pfister') || SOUNDEX('Ashcraft')", "R163p236A261"),
        ("SHA2('abc', 224)", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ("SHA2('abc') = SHA2_HEX('abc', 256)", True),
        ("FACTORIAL(n) || CHR(n + 60) FROM (SELECT 5 AS n)", "120A"),
        ("TRUNC(x, n) FROM (SELECT 1.256 AS x, 2 AS n)", 1.25),
        ("TRUNC(1.256, 2 :: INT)", Decimal("1.25")),
        ("SQRT(16)", 4.0),
        ("APPROX_PERCENTILE(n, 0.5) FROM VALUES (0), (1), (2), (3) AS t(n)", 1.5),
        ("GET_IGNORE_CASE(PARSE_JSON('{\"a\":1,\"A\":2}'), 'A')::INT", 2),
        ("GET_IGNORE_CASE(PARSE_JSON('{\"a\":1}'), 'A')::INT", 1),
        ("ARRAY_TO_STRING(ARRAY_CONSTRUCT(1, 'x'), s) FROM (SELECT ';' AS s)", "1;x"),
        ("ARRAY_TO_STRING(ARRAY_CONSTRUCT(), ',')", ""),
        ("ARRAY_SIZE(ARRAY_CONSTRUCT_COMPACT(1, NULL, 'a'))", 2),
        ("AS_DECIMAL(PARSE_JSON('1.23'), 6, 2)", Decimal("1.23")),
        ("AS_NUMBER(PARSE_JSON('\"a\"'))", None),
        ('OBJECT_KEYS(PARSE_JSON(\'{"b":1,"a":2}\'))[0]::TEXT', "a"),
        ("REDUCE([1, 2, 3], 0, (acc, x) -> acc + x)", 6),
        ("REDUCE([1, 2, 3], 10, (acc INT, x INT) -> acc + x)", 16),
        ("REDUCE(['a', 'b'], '', (acc, x) -> acc || x)", "ab"),
    ],
)
def test_scalar_functions(sql: Sql, call: str, expected: Any) -> None:
    assert sql(f"SELECT {call}") == [(expected,)]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("FILTER([1, 2, 3], x -> x > 1)", [2, 3]),
        ("FILTER([1, 2, 3], x INT -> x % 2 = 1)", [1, 3]),
        ("FILTER(['a', 'b'], x -> x = 'a')", ["a"]),
        ("FILTER([{'k': 1}, {'k': 5}], o -> o:k::INT > 2)", [{"k": 5}]),
        ("TRANSFORM([1, 2.5], x -> x * 2)", [2, 5]),
        ("TRANSFORM([1, 2], x INT -> x * i)", [3, 6]),
        ("TRANSFORM(['a'], x VARCHAR -> UPPER(x) || 'z')", ["Az"]),
        ("TRANSFORM([{'k': 4}], o -> o:k)", [4]),
        ("TRANSFORM(FILTER([1, 2, 3], a -> a > 1), b -> b + 1)", [3, 4]),
    ],
)
def test_lambdas_over_arrays(cursor: Any, call: str, expected: list[Any]) -> None:
    ((value,),) = cursor.execute(f"SELECT {call} FROM (SELECT 3 AS i)").fetchall()
    assert json.loads(value) == expected
    assert cursor.description[0].type_code == 10  # ARRAY


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("SQRT(-1)", r"Invalid floating point operation: sqrt\(-1\)"),
        ("NTILE(0) OVER (ORDER BY 1)", "NTILE argument must be at least 1"),
        ("SHA2('abc', 13)", "SHA2 of 13 bits"),
    ],
)
def test_wrong_arguments(sql: Sql, call: str, text: str) -> None:
    with pytest.raises(ProgrammingError, match=text):
        sql(f"SELECT {call}")


def test_a_text_is_split_to_rows(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT 1 id, 'a.b' s UNION ALL SELECT 2, 'c'")
    assert sql("SELECT index, value FROM TABLE(SPLIT_TO_TABLE('a..b', '.')) ORDER BY index") == [
        (1, "a"),
        (2, ""),
        (3, "b"),
    ]
    assert sql("SELECT id, c.index, c.value FROM t, LATERAL SPLIT_TO_TABLE(t.s, '.') c ORDER BY 1, 2") == [
        (1, 1, "a"),
        (1, 2, "b"),
        (2, 1, "c"),
    ]
    assert sql("SELECT value FROM TABLE(STRTOK_SPLIT_TO_TABLE('a. b', '. ')) ORDER BY index") == [("a",), ("b",)]
    ((same,),) = sql("SELECT COUNT(DISTINCT seq) FROM t, LATERAL SPLIT_TO_TABLE(s, '.')")
    assert same == 2


def test_pivot_reads_its_values(cursor: Any) -> None:
    cursor.execute("CREATE TABLE t AS SELECT * FROM VALUES (1, 'x', 10), (1, 'y', 20), (2, 'x', 5) AS v (a, b, s)")
    for values in ("ANY ORDER BY b", "ANY", "SELECT b FROM t ORDER BY b", "'x', 'y'"):
        rows = cursor.execute(f"SELECT * FROM t PIVOT(SUM(s) FOR b IN ({values})) AS p ORDER BY a").fetchall()
        assert rows == [(1, 10, 20), (2, 5, None)]
        assert [column.name for column in cursor.description] == ["A", "'x'", "'y'"]
    rows = cursor.execute(
        "WITH w AS (SELECT * FROM t) SELECT * FROM w PIVOT(MAX(s) FOR b IN (ANY ORDER BY b DESC)) p (k, q, r) ORDER BY k"
    ).fetchall()
    assert rows == [(1, 20, 10), (2, None, 5)]


def test_get_ddl_of_a_table_creates_it_again(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT NOT NULL, \"b c\" VARCHAR(20) DEFAULT 'x''y', n NUMBER(10, 2), v VARIANT)")
    ((text,),) = sql("SELECT GET_DDL('TABLE', 't')")
    assert text.splitlines()[:3] == [
        "create or replace TABLE T (",
        "\tA NUMBER(38,0) NOT NULL,",
        "\t\"b c\" VARCHAR(20) DEFAULT 'x''y',",
    ]
    sql(text)
    assert sql("SELECT GET_DDL('table', 'T')") == [(text,)]


@pytest.mark.parametrize(
    ("query", "errno"),
    [
        ("SELECT WIDTH_BUCKET(1, 2)", 938),
        ("SELECT REGEXP_REPLACE('a', 'b', 'c', 1, 0, 'q')", 1044),
        ("SELECT GET_DDL('TABLE', 'missing')", 2003),
        ("SELECT GET_DDL('ROLE', 'PUBLIC')", 2),
        ("SELECT * FROM TABLE(SPLIT_TO_TABLE('a'))", 1003),
    ],
)
def test_wrong_calls_are_rejected(sql: Sql, query: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(query)
    assert caught.value.errno == errno


@pytest.mark.parametrize(("share", "answer"), [(0, 0.0), (0.1, 0.9), (0.5, 4.5), (1, 9.0)])
def test_percentiles_are_estimated_from_states(sql: Sql, share: float, answer: float) -> None:
    sql("CREATE TABLE numbers AS SELECT seq4() AS n FROM TABLE(GENERATOR(ROWCOUNT => 10))")
    states = "SELECT APPROX_PERCENTILE_ACCUMULATE(n) AS s FROM numbers WHERE n < 5"
    states += " UNION ALL " + states.replace("n < 5", "n >= 5 OR n IS NULL")
    combined = f"SELECT APPROX_PERCENTILE_COMBINE(s) AS s FROM ({states})"
    assert sql(f"SELECT APPROX_PERCENTILE_ESTIMATE(s, {share}) FROM ({combined})") == [(pytest.approx(answer),)]


def test_a_state_of_percentiles_is_a_digest_of_values_with_weights(sql: Sql) -> None:
    ((shown,),) = sql("SELECT APPROX_PERCENTILE_ACCUMULATE(column1) FROM VALUES (2), (1), (NULL)")
    numbers = "1.000000000000000e+00,1.000000000000000e+00,2.000000000000000e+00,1.000000000000000e+00"
    assert shown == f'{{"state":[{numbers}],"type":"tdigest","version":1}}'
    many = "SELECT APPROX_PERCENTILE_ACCUMULATE(seq4()) AS s FROM TABLE(GENERATOR(ROWCOUNT => 100000))"
    ((count, estimate),) = sql(f"SELECT ARRAY_SIZE(s:state), APPROX_PERCENTILE_ESTIMATE(s, 0.9) FROM ({many})")
    assert count == 2000
    assert estimate == pytest.approx(90_000, rel=0.001)


def test_percentiles_of_no_values_and_of_shares_outside_0_and_1(sql: Sql) -> None:
    state = "APPROX_PERCENTILE_ACCUMULATE(column1)"
    assert sql(f"SELECT APPROX_PERCENTILE_ESTIMATE({state}, 0.5) FROM VALUES (1) WHERE column1 > 1") == [(None,)]
    with pytest.raises(ProgrammingError, match=r"Invalid value \[-1.0\] for function 'APPROX_PERCENTILE_ESTIMATE'"):
        sql(f"SELECT APPROX_PERCENTILE_ESTIMATE({state}, -1) FROM VALUES (1)")
