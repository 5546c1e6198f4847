"""MERGE with several source rows that match one target row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]
UPDATE = "WHEN MATCHED THEN UPDATE SET v = s.v"


@pytest.fixture
def tables(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT, v INT)")
    sql("INSERT INTO t VALUES (1, 10), (2, 20)")
    sql("CREATE TABLE s (id INT, v INT)")
    sql("INSERT INTO s VALUES (1, 11), (1, 12), (9, 91), (9, 92)")


@pytest.fixture
def lenient(sql: Sql, tables: None) -> Iterator[None]:
    sql("ALTER SESSION SET ERROR_ON_NONDETERMINISTIC_MERGE = FALSE")
    yield
    sql("ALTER SESSION UNSET ERROR_ON_NONDETERMINISTIC_MERGE")


def test_duplicate_deletes_are_allowed_and_unmatched_duplicates_are_all_inserted(sql: Sql, tables: None) -> None:
    merge = (
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)"
    )
    assert sql(merge) == [(2, 1)]
    assert sql("SELECT * FROM t ORDER BY id, v") == [(2, 20), (9, 91), (9, 92)]


@pytest.mark.parametrize(
    "clauses",
    [UPDATE, f"WHEN MATCHED AND s.v = 11 THEN DELETE {UPDATE}", f"WHEN MATCHED AND s.v = 12 THEN DELETE {UPDATE}"],
)
def test_nondeterministic_merges_are_rejected(sql: Sql, tables: None, clauses: str) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(f"MERGE INTO t USING s ON t.id = s.id {clauses}")
    assert (caught.value.errno, caught.value.sqlstate) == (100_090, "42P18")
    assert sql("SELECT * FROM t ORDER BY id") == [(1, 10), (2, 20)]


def test_a_clause_that_selects_one_row_is_deterministic(sql: Sql, tables: None) -> None:
    assert sql("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.v = 12 THEN UPDATE SET v = s.v") == [(1,)]
    assert sql("SELECT v FROM t WHERE id = 1") == [(12,)]


def test_the_parameter_allows_nondeterministic_merges(sql: Sql, lenient: None) -> None:
    merge = f"MERGE INTO t AS x USING s ON x.id = s.id {UPDATE} WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)"
    assert sql(merge) == [(2, 1)]
    rows = sql("SELECT * FROM t ORDER BY id, v")
    assert rows[0] in [(1, 11), (1, 12)]
    assert rows[1:] == [(2, 20), (9, 91), (9, 92)]


def test_a_source_row_skipped_for_one_target_may_change_another(sql: Sql, lenient: None) -> None:
    sql("MERGE INTO t USING (SELECT 1 AS a, 100 AS v UNION ALL SELECT 2, 200) s ON t.id <= s.a " + UPDATE)
    rows = dict(sql("SELECT id, v FROM t"))
    assert rows[1] in (100, 200)
    assert rows[2] == 200


def test_update_counts_rows_with_several_matches(sql: Sql, tables: None) -> None:
    sql("INSERT INTO s VALUES (2, 21)")
    assert sql("UPDATE t SET v = s.v FROM s WHERE t.id = s.id") == [(2, 1)]
    rows = dict(sql("SELECT id, v FROM t"))
    assert rows[1] in (11, 12)
    assert rows[2] == 21
    assert sql("UPDATE t AS x SET v = y.v FROM s AS y, t AS z WHERE x.id = y.id AND z.id = 2 AND y.v > 11") == [(2, 0)]
    assert sql("UPDATE t SET v = 0") == [(2, 0)]
