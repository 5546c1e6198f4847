"""How the columns of results are described and laid out: NOT NULL, sizes, decimals of timestamps, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import IntegrityError, ProgrammingError

from localcloud.snowflake.wire.json_layout import layout
from localcloud.tests.waiting import wait_for

Sql = Callable[..., list[tuple[Any, ...]]]
_TABLE = "CREATE TABLE t (k NUMBER(10,0) PRIMARY KEY, v VARCHAR(5) NOT NULL, n INT)"


@pytest.fixture(params=["ARROW", "JSON"])
def format_(sql: Sql, request: pytest.FixtureRequest) -> Iterator[str]:
    sql(f"ALTER SESSION SET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT = '{request.param}'")
    yield request.param
    sql("ALTER SESSION UNSET PYTHON_CONNECTOR_QUERY_RESULT_FORMAT")


def _optional(cursor: Any, query: str) -> list[bool]:
    described = [column.is_nullable for column in cursor.describe(query)]
    cursor.execute(query)
    assert [column.is_nullable for column in cursor.description] == described
    return described


def test_columns_say_whether_they_may_be_null(cursor: Any, sql: Sql) -> None:
    sql(_TABLE)
    sql("CREATE VIEW w AS SELECT k, n FROM t")
    assert _optional(cursor, "SELECT * FROM t") == [False, False, True]
    assert _optional(cursor, "SELECT k, n, k + 1, n + 1, v || 'x', COUNT(*) OVER (), NULL FROM w JOIN t USING (k, n)")[
        :4
    ] == [False, True, False, True]
    assert _optional(cursor, "SELECT 1, 'a', COUNT(n), MAX(k), COALESCE(MAX(n), 0), NULL FROM t") == [
        *(False, False, False, True, False, True)
    ]
    assert _optional(cursor, "SELECT a.k, b.k AS other FROM t a LEFT JOIN t b ON a.n = b.n") == [False, True]
    assert _optional(cursor, "SELECT a.k, b.k AS other FROM t a RIGHT JOIN t b ON a.n = b.n") == [True, False]
    assert _optional(cursor, "SELECT k FROM t UNION ALL SELECT NULL") == [True]
    assert _optional(cursor, "SELECT k, COUNT(*) AS c FROM t GROUP BY ROLLUP (k)") == [True, True]


@pytest.mark.parametrize(
    ("query", "optional"),
    [
        ("SELECT $1 AS a, $2 AS b FROM VALUES (1, 'x'), (2, NULL)", [False, True]),
        ("SELECT a, b FROM (VALUES (1::INT, NULL::INT), (2, 3)) AS v (a, b)", [False, True]),
        ("SELECT COLUMN1, COLUMN2 FROM VALUES (CURRENT_DATE(), TRY_TO_NUMBER('1'))", [False, True]),
        (
            "SELECT 7 / 2, 7 % 2, TO_DECIMAL(1, 3, 1), TO_DOUBLE('1'), TO_CHAR(1), 'a' || 'b', CONCAT('a', 'b')",
            [False] * 7,
        ),
        ("SELECT TIME('01:02:03'), TO_DATE('2024-01-02'), TO_BINARY('ab'), X'ab', DATE '2024-01-02'", [False] * 5),
        ("SELECT TRY_TO_DATE('x'), TRY_TO_TIME('x'), TRY_TO_BINARY('x'), TRY_TO_DOUBLE('x')", [True] * 4),
        ("SELECT 7 / NULL, TRY_TO_DECIMAL('x', 3, 1), TRY_CAST('x' AS INT), CONCAT('a', NULL)", [True] * 4),
        ("SELECT 1 = 1, 1 < 2, 1 IS NULL, NOT TRUE, TRUE AND FALSE, TRUE, TRUE::BOOLEAN", [True] * 7),
        ("SELECT 1 AS a, 2 AS b, NULL AS c UNION ALL SELECT 3 AS b, NULL, 4", [False, True, True]),
        ("(SELECT 1 AS a UNION SELECT 2 AS b) UNION SELECT 3", [False]),
        ("SELECT 1 AS a, NULL AS b INTERSECT SELECT NULL, 2", [False, True]),
        ("SELECT 1 AS a, NULL AS b EXCEPT SELECT NULL, 2", [False, True]),
        ("SELECT a FROM (SELECT * FROM (SELECT 1 AS a) UNION ALL SELECT * FROM (SELECT NULL AS a))", [True]),
        ("SELECT * FROM ((SELECT 1 AS k, 'a' AS s) AS l JOIN (SELECT 1 AS k, 'b' AS t) AS r USING (k))", [False] * 3),
        (
            "SELECT * FROM ((SELECT 1 AS k, 'a' AS s) AS l LEFT JOIN (SELECT 2 AS n) AS r ON k = n)",
            [False, False, True],
        ),
        (
            "SELECT * FROM ((SELECT 1 AS k, 'a' AS s) AS l RIGHT JOIN (SELECT 2 AS n) AS r ON k = n)",
            [True, True, False],
        ),
    ],
)
def test_values_operators_and_joins_say_whether_they_may_be_null(cursor: Any, query: str, optional: list[bool]) -> None:
    assert _optional(cursor, query) == optional


@pytest.mark.parametrize("kind", ["TABLE", "TEMPORARY TABLE"])
def test_create_table_as_keeps_declared_constraints(cursor: Any, sql: Sql, kind: str) -> None:
    columns = '"AS" INT NOT NULL, b INT NULL, c INT DEFAULT 3, d INT PRIMARY KEY'
    sql(f"CREATE {kind} t ({columns}) AS SELECT 1, NULL, 2, 4")
    assert _optional(cursor, "SELECT * FROM t") == [False, True, True, False]
    assert [row[3] for row in sql("DESC TABLE t")] == ["N", "Y", "Y", "N"]
    sql('INSERT INTO t ("AS", d) VALUES (5, 6)')
    assert sql("SELECT * FROM t ORDER BY 1") == [(1, None, 2, 4), (5, None, 3, 6)]
    with pytest.raises(IntegrityError, match="NULL result in a non-nullable column"):
        sql("INSERT INTO t SELECT NULL, 1, 1, 1")
    with pytest.raises(IntegrityError, match="NULL result in a non-nullable column"):
        sql(f"CREATE OR REPLACE {kind} t (a INT NOT NULL) AS SELECT x FROM (VALUES (1), (NULL)) AS v (x)")
    assert sql("SELECT COUNT(*) FROM t") == [(2,)]


def test_counts_of_changed_rows_are_not_null(cursor: Any, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    merge = "MERGE INTO t USING (SELECT 1 AS a) AS s ON t.a = s.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)"
    assert _optional(cursor, "INSERT INTO t VALUES (1)") == [False]
    assert _optional(cursor, "UPDATE t SET a = 2") == [False, False]
    assert _optional(cursor, merge) == [False, False]
    assert _optional(cursor, "DELETE FROM t") == [False]


def test_not_null_follows_alterations_of_a_table(cursor: Any, sql: Sql) -> None:
    sql(_TABLE)
    sql("ALTER TABLE t RENAME COLUMN v TO text")
    sql("ALTER TABLE t ALTER COLUMN text DROP NOT NULL")
    sql("UPDATE t SET n = 0")
    sql("ALTER TABLE t ALTER COLUMN n SET NOT NULL")
    sql("ALTER TABLE t ADD COLUMN later INT")
    assert _optional(cursor, "SELECT k, text, n, later FROM t") == [False, True, False, True]
    sql("CREATE TABLE copied AS SELECT k, n FROM t")
    assert _optional(cursor, "SELECT * FROM copied") == [True, True]


def test_texts_and_numbers_have_sizes(cursor: Any, sql: Sql) -> None:
    sql(_TABLE)
    columns = cursor.describe("SELECT v, 'four', v::VARCHAR(3) AS c, v || 'x' AS d FROM t")
    assert [column.internal_size for column in columns] == [5, 4, 3, 16_777_216]
    columns = cursor.describe("SELECT k, 12, SEQ4(), k + 1 FROM t, TABLE(GENERATOR(ROWCOUNT => 1))")
    assert [column.precision for column in columns] == [10, 2, 10, 11]


@pytest.mark.usefixtures("format_")
def test_timestamps_and_times_have_the_declared_decimals(cursor: Any, sql: Sql) -> None:
    sql(
        "CREATE TABLE t (a TIMESTAMP_NTZ(3), b TIMESTAMP_LTZ(0), c TIMESTAMP_TZ(1), d TIMESTAMP_TZ(4), e TIME(2), f TIMESTAMP_NTZ)"
    )
    moment, before = "2024-01-02 03:04:05.678912", "1969-12-31 23:59:58.5"
    for text in (moment, before):
        sql(f"INSERT INTO t VALUES ('{text}', '{text}', '{text}', '{text}', '03:04:05.678', '{text}')")
    sql("INSERT INTO t (a) VALUES (NULL)")
    cursor.execute("SELECT * FROM t ORDER BY f")
    assert [column.scale for column in cursor.description] == [3, 0, 1, 4, 2, 9]
    earlier, later, missing = cursor.fetchall()
    shown = (5, 678_000), (5, 0), (5, 600_000), (5, 678_900), (5, 670_000), (5, 678_912)
    assert [(value.second, value.microsecond) for value in later] == list(shown)
    assert later[0] == datetime(2024, 1, 2, 3, 4, 5, 678_000)
    assert (later[1], later[2]) == (
        *(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2024, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)),
    )
    assert later[4] == time(3, 4, 5, 670_000)
    assert [(value.second, value.microsecond) for value in earlier[:4]] == [
        *((58, 500_000), (58, 0), (58, 500_000), (58, 500_000))
    ]
    assert missing == (None,) * 6
    assert [row[1] for row in sql("DESC TABLE t")] == [
        *("TIMESTAMP_NTZ(3)", "TIMESTAMP_LTZ(0)", "TIMESTAMP_TZ(1)", "TIMESTAMP_TZ(4)", "TIME(2)", "TIMESTAMP_NTZ(9)")
    ]


def test_pandas_reads_timestamps_of_each_scale(cursor: Any, sql: Sql) -> None:
    for scale in (0, 2, 3, 5, 6, 9):
        for kind in ("NTZ", "LTZ", "TZ"):
            cursor.execute(
                f"SELECT '2024-01-02 03:04:05.5'::TIMESTAMP_{kind}({scale}) AS m, NULL::TIMESTAMP_{kind}({scale}) AS n"
            )
            frame = cursor.fetch_pandas_all()
            assert frame["M"][0].microsecond == (0 if scale == 0 else 500_000), (scale, kind)
            assert frame["N"].isna().all()


@pytest.mark.usefixtures("format_")
def test_decimals_keep_their_values(cursor: Any) -> None:
    big = Decimal("12345678901234567890123456789.1234")
    query = f"SELECT x FROM (VALUES (1.25::NUMBER(38,4)), (-0.0001), (NULL), ({big})) AS v (x)"
    assert [row[0] for row in cursor.execute(query).fetchall()] == [Decimal("1.2500"), Decimal("-0.0001"), None, big]
    query = "SELECT x FROM (VALUES (1.25::NUMBER(9,4)), (-0.0001), (NULL)) AS v (x)"
    assert [row[0] for row in cursor.execute(query).fetchall()] == [Decimal("1.2500"), Decimal("-0.0001"), None]


def test_pandas_has_floats_for_decimals_of_64_bits(cursor: Any) -> None:
    frame = cursor.execute("SELECT 1.25::NUMBER(10,2) AS a, NULL::NUMBER(10,2) AS b").fetch_pandas_all()
    assert (frame["A"].dtype, frame["A"][0]) == ("float64", 1.25)


@pytest.mark.usefixtures("format_")
def test_json_has_one_element_a_line(cursor: Any, sql: Sql) -> None:
    sql("ALTER SESSION UNSET JSON_INDENT")
    query = """SELECT PARSE_JSON('{"a":[1,{"b":"x, [y]"}],"c":{},"d":[],"e":1.5}') AS v, ARRAY_CONSTRUCT(1, 2) AS a,
        PARSE_JSON('"t"') AS t, v::VARCHAR AS one_line"""
    value, array, text, one_line = cursor.execute(query).fetchone()
    assert value == (
        '{\n  "a": [\n    1,\n    {\n      "b": "x, [y]"\n    }\n  ],\n  "c": {},\n  "d": [],\n  "e": 1.5\n}'
    )
    assert (array, text) == ("[\n  1,\n  2\n]", '"t"')
    assert "\n" not in one_line
    assert sql("SHOW PARAMETERS LIKE 'JSON_INDENT'")[0][1] == "2"
    sql("ALTER SESSION SET JSON_INDENT = 3")
    assert cursor.execute("SELECT ARRAY_CONSTRUCT(1)").fetchone() == ("[\n   1\n]",)
    sql("ALTER SESSION SET JSON_INDENT = 0")
    assert cursor.execute("SELECT ARRAY_CONSTRUCT(1, OBJECT_CONSTRUCT('a', 1))").fetchone() == ('[1,{"a":1}]',)


@pytest.mark.parametrize("indent", [2, 4])
def test_the_layout_keeps_the_digits_of_numbers(indent: int) -> None:
    pad = " " * indent
    numbers = "123456789012345678901234567890", "0.10", "-1", "1.797693134862316e+308"
    assert layout("[123456789012345678901234567890,0.10,-1,1.7976931348623157e308]", indent) == (
        "[\n" + ",\n".join(pad + number for number in numbers) + "\n]"
    )
    assert layout('{"b":[0.5,{"d":true,"c":null}],"a":{}}', indent).replace(" ", "").replace("\n", "") == (
        '{"a":{},"b":[0.5,{"c":null,"d":true}]}'
    )
    assert layout('{"a\\"b":"\\\\"}', indent) == "{\n" + pad + '"a\\"b": "\\\\"\n}'


def test_null_in_a_variant_is_no_text_and_no_binary(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT PARSE_JSON(x) AS v FROM (VALUES ('null'), ('\"ab\"')) AS s (x)")
    for type_ in ("CHAR", "VARCHAR", "VARCHAR(9)", "STRING"):
        assert sql(f"SELECT v::{type_} FROM t ORDER BY 1 NULLS FIRST") == [(None,), ("ab",)], type_
    assert sql("SELECT v::BINARY FROM t ORDER BY 1 NULLS FIRST") == [(None,), (b"\xab",)]
    assert sql("SELECT PARSE_JSON('null')::VARCHAR") == [(None,)]


def test_a_float_takes_a_number_of_digits(sql: Sql) -> None:
    sql("CREATE TABLE t (a FLOAT(53), b DOUBLE)")
    sql("INSERT INTO t VALUES (0.1, 1e300)")
    assert sql("SELECT a, b, 0.1::FLOAT(24) FROM t") == [(0.1, 1e300, 0.1)]


@pytest.mark.parametrize("kind", ["TABLE", "TEMPORARY TABLE"])
def test_texts_with_an_offset_after_a_space_are_inserted(cursor: Any, sql: Sql, kind: str) -> None:
    sql(f"CREATE {kind} t (n INT, z TIMESTAMP_TZ, l TIMESTAMP_LTZ, s VARCHAR)")
    text = "2024-01-02 03:04:05.5 +0200"
    sql(f"INSERT INTO t VALUES (1, '{text}', '{text}', '{text}'), (2, '2024-01-02 01:04:05.5 Z', NULL, NULL)")
    sql(f"INSERT INTO t (l, n, z) SELECT '{text}', 3, '{text}' AS other")
    moment = datetime(2024, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)
    assert sql("SELECT * FROM t ORDER BY n") == [
        *((1, moment, moment, text), (2, moment, None, None), (3, moment, moment, None))
    ]
    cursor.executemany("INSERT INTO t (s, z) VALUES (?, ?)", [(text, text), (None, None)])
    assert sql("SELECT s, z FROM t WHERE n IS NULL ORDER BY s NULLS LAST") == [(text, moment), (None, None)]
    with pytest.raises(ProgrammingError, match="is not recognized"):
        sql("INSERT INTO t (z) VALUES ('2024-01-02 01:04:05 nowhere')")


def test_numbers_of_any_scale_become_timestamps(sql: Sql) -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 500_000)
    for scale in range(1, 10):
        assert sql(f"SELECT TO_TIMESTAMP_NTZ({17041646455 * 10 ** (scale - 1)}, {scale})") == [(moment,)], scale


def test_a_placeholder_needs_a_value(connect: Any) -> None:
    with connect() as opened:
        cursor = opened.cursor()
        assert [column.name for column in cursor.describe("SELECT ? AS x")] == ["X"]
        for text, binds in (("SELECT ?", None), ("SELECT ?, ?", [1])):
            with pytest.raises(ProgrammingError, match=r"Bind variable \d not set") as caught:
                cursor.execute(text, binds)
            assert caught.value.errno == 2049


def test_the_current_transaction_has_a_number(connect: Any) -> None:
    with connect(autocommit=False) as opened:
        cursor = opened.cursor()
        assert cursor.execute("SELECT CURRENT_TRANSACTION()").fetchone() == (None,)
        cursor.execute("BEGIN")
        number = cursor.execute("SELECT CURRENT_TRANSACTION()").fetchone()[0]
        assert int(number) > 0
        assert cursor.execute("SELECT CURRENT_TRANSACTION()").fetchone() == (number,)
        cursor.execute("ROLLBACK")
        assert cursor.execute("SELECT CURRENT_TRANSACTION()").fetchone() == (None,)


def test_a_statement_is_cancelled_from_its_own_session(connect: Any) -> None:
    with connect() as opened, connect() as other:
        cursor = opened.cursor()
        cursor.execute_async("SELECT SYSTEM$WAIT(1, 'HOURS')")
        running = f"SELECT COUNT(*) FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE QUERY_ID = '{cursor.sfqid}'"
        wait_for(lambda: other.cursor().execute(running).fetchone()[0], lambda count: count == 1)
        answer = opened.cursor().execute(f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')").fetchone()
        assert answer == (f"query [{cursor.sfqid}] terminated.",)
