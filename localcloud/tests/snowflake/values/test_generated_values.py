"""Random values over GENERATOR, window events, hashes and binaries."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.snowpark import Session
from snowflake.snowpark import functions as fn
from snowflake.snowpark.types import StructField, StructType, VariantType

Sql = Callable[..., list[tuple[Any, ...]]]
_ROWS = "FROM TABLE(GENERATOR(ROWCOUNT => 200))"


def test_seeded_values_are_reproducible_and_unseeded_ones_are_not(sql: Sql) -> None:
    for call in ("RANDOM({})", "UNIFORM(1, 1000000, RANDOM({}))", "NORMAL(0, 1, RANDOM({}))", "RANDSTR(8, RANDOM({}))"):
        first, again = (sql(f"SELECT {call.format(5)} {_ROWS}") for _ in range(2))
        assert first == again
        assert len(set(first)) > 190
        assert sql(f"SELECT {call.format('')} {_ROWS}") != sql(f"SELECT {call.format('')} {_ROWS}")


def test_values_are_in_their_range(sql: Sql) -> None:
    values = sql(
        f"SELECT UNIFORM(1, 3, RANDOM()), UNIFORM(0::FLOAT, 1::FLOAT, RANDOM()), LENGTH(RANDSTR(4, 7)) {_ROWS}"
    )
    whole, real, lengths = (set(column) for column in zip(*values, strict=True))
    assert whole == {1, 2, 3}
    assert all(0 <= value < 1 for value in real)
    assert lengths == {4}
    ((mean, spread),) = sql(
        "SELECT AVG(x), STDDEV(x) FROM (SELECT NORMAL(50, 2, RANDOM(1)) x FROM TABLE(GENERATOR(ROWCOUNT => 5000)))"
    )
    assert (round(mean), round(spread)) == (50, 2)
    assert len(set(sql(f"SELECT UNIFORM(1, 1000, 42) {_ROWS}"))) == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT SEQ4() FROM TABLE(GENERATOR(TIMELIMIT => 0))",
        f"SELECT COUNT(*) {_ROWS} WHERE RANDOM(1) > 0",
        f"SELECT ZIPF(1, 10, RANDOM()) {_ROWS}",
        f"SELECT CONDITIONAL_CHANGE_EVENT(SEQ4()) OVER (ORDER BY 1) {_ROWS}",
    ],
)
def test_unsupported_generators_are_rejected(sql: Sql, query: str) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(query)
    assert caught.value.errno == 2


def test_ratios_and_events_over_windows(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT column1 a, column2 b FROM VALUES (1, 1), (1, 3), (2, 4)")
    assert sql("SELECT RATIO_TO_REPORT(b) OVER (PARTITION BY a) FROM t ORDER BY b") == [(0.25,), (0.75,), (1.0,)]
    assert sql("SELECT CONDITIONAL_TRUE_EVENT(b > 1) OVER (ORDER BY b) FROM t ORDER BY b") == [(0,), (1,), (2,)]
    assert sql(
        "SELECT SUM(b) OVER (ORDER BY DATEADD(day, b, '2024-01-01'::DATE) "
        "RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW) FROM t ORDER BY b"
    ) == [(1,), (3,), (7,)]


def test_equal_rows_have_equal_hashes(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT column1 a, column2 b FROM VALUES (1, 'x'), (1, 'x'), (2, 'x')")
    rows = sql("SELECT hash(*), HASH(a, b), HASH(a) FROM t ORDER BY a")
    assert rows[0] == rows[1] != rows[2]
    assert rows[0][0] == rows[0][1] != rows[0][2]


def test_text_is_parsed_as_hexadecimal_binary(sql: Sql) -> None:
    assert sql("SELECT '6162'::BINARY, TO_BINARY('61'), TRY_TO_BINARY('zz')") == [(b"ab", b"a", None)]
    with pytest.raises(ProgrammingError) as caught:
        sql("SELECT 'zz'::BINARY")
    assert caught.value.errno == 100_115
    assert sql("SELECT TRY_TO_TIMESTAMP('x'), TRY_CAST('2024-01-02' AS TIMESTAMP)") == [
        (None, datetime.datetime(2024, 1, 2))
    ]


def test_snowpark_creates_rows_of_all_types(snowpark: Session) -> None:
    row = (1, None, Decimal("1.5"), datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3), b"ab", True, 1.5, "t")
    for copies in (1, 600):
        frame = snowpark.create_dataframe([row] * copies, schema=list("abcdefghi"))
        assert [tuple(found) for found in frame.distinct().collect()] == [row]
    nested = StructType([StructField("o", VariantType()), StructField("l", VariantType())])
    assert [tuple(found) for found in snowpark.create_dataframe([({"k": 1}, [1, "x"])], schema=nested).collect()] == [
        ('{"k":1}', '[1,"x"]')
    ]


def test_snowpark_samples_splits_and_caches_rows(snowpark: Session) -> None:
    frame = snowpark.range(300).to_df("x")
    parts = frame.random_split([0.3, 0.7], seed=3)
    assert sum(part.count() for part in parts) == 300
    assert len(frame.sample(n=10).collect()) == 10
    assert 0 < frame.sample(frac=0.5).count() < 300
    kept = frame.select(fn.random().alias("r")).cache_result()
    assert kept.collect() == kept.collect()
