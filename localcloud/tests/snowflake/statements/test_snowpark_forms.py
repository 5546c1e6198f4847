"""Forms of statements that Snowpark writes, and values that its suite expects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]


def test_an_asof_join_in_parentheses_takes_using(sql: Sql) -> None:
    left, right = "(SELECT 1 AS a, 5 AS t, 7 AS l) AS x", "(SELECT 1 AS a, 4 AS t, 8 AS r) AS y"
    joined = f"SELECT * FROM ({left} ASOF JOIN {right} MATCH_CONDITION (x.t >= y.t) USING (a))"
    assert sql(f"{joined} WHERE r = 8") == [(1, 5, 7, 4, 8)]


def test_pivot_fills_null_and_names_numbers_by_their_cast(cursor: Any) -> None:
    source = "SELECT * FROM (SELECT 1 AS a, 2 AS b, 'k' AS c UNION ALL SELECT 3, 4, 'm') PIVOT(SUM(a) FOR b IN"
    rows = cursor.execute(f"{source} (2 :: INT, 4 :: INT) DEFAULT ON NULL (0)) ORDER BY c").fetchall()
    assert rows == [("k", 1, 0), ("m", 0, 3)]
    names = [column.name for column in cursor.description]
    assert names == ["C", "CAST(2 AS NUMBER(38,0))", "CAST(4 AS NUMBER(38,0))"]
    assert cursor.execute(f"{source} (ANY) DEFAULT ON NULL (0)) AS p ORDER BY c").fetchall() == rows


def test_call_of_a_system_function(cursor: Any) -> None:
    assert cursor.execute("CALL SYSTEM$WAIT(1, 'MILLISECONDS')").fetchall() == [("waited 1 milliseconds",)]
    assert [column.name for column in cursor.description] == ["SYSTEM$WAIT"]


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        ("nowhere", "NOWHERE"),
        ("{schema}.nowhere", "SNOWSAGE.{schema}.NOWHERE"),
        ('snowsage."{schema}".nowhere', "SNOWSAGE.{schema}.NOWHERE"),
    ],
)
def test_a_missing_table_is_named_with_the_schema_that_the_statement_writes(
    sql: Sql, schema: str, table: str, shown: str
) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(f"SELECT * FROM {table.format(schema=schema)}")
    assert f"Object '{shown.format(schema=schema)}' does not exist or not authorized." in str(caught.value)


def test_a_schema_may_have_a_dot_in_its_name(sql: Sql, schema: str) -> None:
    sql(f'CREATE SCHEMA "{schema}.x"')
    sql("CREATE TABLE t AS SELECT 1 AS a")
    assert sql(f'SELECT CURRENT_SCHEMA(), a FROM "{schema}.x".t') == [(f"{schema}.x", 1)]


def test_show_tables_keeps_when_a_temporary_table_was_created(sql: Sql) -> None:
    sql("CREATE TEMPORARY TABLE t (a INT)")
    first = sql("SHOW TABLES")
    assert sql("SHOW TABLES") == first
    sql("CREATE OR REPLACE TEMPORARY TABLE t (a INT)")
    assert sql("SHOW TABLES")[0][0] > first[0][0]


def test_a_literal_beyond_64_bits_is_a_number(sql: Sql) -> None:
    assert sql("SELECT - 9223372036854775808 :: INT, 55555555555555555555 :: NUMBER(38,0)") == [
        (-9223372036854775808, 55555555555555555555)
    ]


def test_correlations_convert_texts(sql: Sql) -> None:
    assert sql("SELECT CORR(a, b), COVAR_POP(a, b) FROM VALUES ('1', 2), ('2', 4) AS t(a, b)") == [(1.0, 0.5)]
    with pytest.raises(ProgrammingError, match="Numeric value 'a' is not recognized"):
        sql("SELECT CORR(a, b) FROM VALUES ('a', 'b') AS t(a, b)")


def test_listagg_without_rows_and_without_a_delimiter(sql: Sql) -> None:
    assert sql("SELECT LISTAGG(a, ','), LISTAGG(a) FROM VALUES ('x') AS t(a) WHERE FALSE") == [("", "")]
    assert sql(
        "SELECT LISTAGG(a) WITHIN GROUP (ORDER BY a DESC), LISTAGG(DISTINCT a, '-') FROM VALUES ('x') AS t(a)"
    ) == [("x", "x")]
    assert sql("SELECT LISTAGG(a) WITHIN GROUP (ORDER BY a DESC) FROM VALUES ('x'), ('y') AS t(a)") == [("yx",)]


def test_parse_json_reads_keys_without_quotes(sql: Sql) -> None:
    assert sql("SELECT PARSE_JSON('[{a:1, \"b\":{c : 2}}]')[0]:b:c::INT") == [(2,)]


@pytest.mark.slow
def test_values_take_at_most_200000_rows(sql: Sql) -> None:
    with pytest.raises(ProgrammingError, match=r"001795 .*\nmaximum number of expressions in a list exceeded"):
        sql("SELECT * FROM VALUES " + ", ".join(["(1)"] * 200_001))


def test_unload_is_partitioned_by_an_expression_without_parentheses(sql: Sql) -> None:
    sql("CREATE STAGE s")
    sql('COPY INTO @s/a FROM (SELECT 1 AS a UNION ALL SELECT 2) PARTITION BY "A" FILE_FORMAT = (TYPE = CSV)')
    assert sorted(name.split("/")[2] for name, *_ in sql("LIST @s")) == ["1", "2"]


def test_put_takes_a_comment_before_the_file(sql: Sql, tmp_path: Path) -> None:
    sql("CREATE STAGE s")
    Path(tmp_path, "x.csv").write_text("1\n")
    sql(f"PUT /* a comment */ 'file://{tmp_path}/x.csv' @s AUTO_COMPRESS = FALSE")
    assert [name for name, *_ in sql("LIST @s")] == ["s/x.csv"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT a FROM t WHERE SUM(a) > 1", "Invalid aggregate function in where clause"),
        ("SELECT SUM(a) FROM t GROUP BY SUM(a)", "is not a valid group by expression"),
        ("SELECT GROUPING(a) FROM t", "GROUPING function without a GROUP BY"),
        ("SELECT REGEXP_LIKE('a', '+')", "Invalid regular expression"),
    ],
)
def test_misplaced_aggregates_and_wrong_expressions_are_reported(sql: Sql, query: str, message: str) -> None:
    sql("CREATE TABLE t (a INT)")
    with pytest.raises(ProgrammingError, match=message):
        sql(query)


def test_the_only_input_of_a_table_function_has_the_number_1(sql: Sql) -> None:
    assert sql("SELECT seq, value FROM TABLE(SPLIT_TO_TABLE('a b', ' ')) ORDER BY index") == [(1, "a"), (1, "b")]
    assert sql("SELECT DISTINCT seq FROM TABLE(FLATTEN(ARRAY_CONSTRUCT(5, 6)))") == [(1,)]


def test_clustering_keys_are_shown_as_written(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT, b VARCHAR) CLUSTER BY ( CAST (a AS DATE), substring(b, 0, 10)) COMMENT = 'why'")
    written = sql("SELECT GET_DDL('table', 't')")[0][0]
    assert written.startswith("create or replace TABLE T cluster by ( CAST (a AS DATE), substring(b, 0, 10))(")
    assert written.endswith("COMMENT='why'\n;")
    assert sql("SHOW TABLES")[0][6] == "LINEAR( CAST (a AS DATE), substring(b, 0, 10))"
    sql("CREATE OR REPLACE TRANSIENT TABLE t (a INT) CLUSTER BY (a)")
    written = "create or replace TRANSIENT TABLE T cluster by (a)(\n\tA NUMBER(38,0)\n);"
    assert sql("SELECT GET_DDL('table', 't')") == [(written,)]
    sql("CREATE OR REPLACE TABLE t (a INT)")
    assert sql("SELECT GET_DDL('table', 't')") == [("create or replace TABLE T (\n\tA NUMBER(38,0)\n);",)]


def test_two_dots_stand_for_the_schema_public(sql: Sql, schema: str) -> None:
    sql(f"CREATE TABLE snowsage..{schema}_t AS SELECT 1 AS a")
    assert sql(f"SELECT a FROM SNOWSAGE.PUBLIC.{schema}_t") == [(1,)]
    assert sql(f'SELECT a FROM "SNOWSAGE"..{schema}_t') == [(1,)]
    sql(f"CREATE SEQUENCE snowsage..{schema}_s")
    assert sql(f"SELECT snowsage.public.{schema}_s.NEXTVAL") == [(1,)]
    sql(f"DROP TABLE snowsage..{schema}_t")
