"""ASOF JOIN and SAMPLE, in SQL and through Snowpark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.snowpark import Session

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def quotes(sql: Sql) -> None:
    sql("CREATE TABLE l (id INT, k STRING, ts INT)")
    sql("CREATE TABLE r (k STRING, ts INT, v STRING)")
    sql("INSERT INTO l VALUES (1, 'a', 10), (2, 'a', 1), (3, 'b', 5), (4, NULL, 7), (5, 'a', NULL)")
    sql("INSERT INTO r VALUES ('a', 5, 'x'), ('a', 10, 'y'), ('b', 9, 'z'), ('a', 20, 'w')")


@pytest.fixture
def session(connect: Any, schema: str) -> Iterator[Session]:
    session = Session.builder.configs({"connection": connect(schema=schema)}).create()
    yield session
    session.close()


@pytest.mark.parametrize(
    ("comparison", "found"),
    [
        (">=", ["y", None, None, None, None]),
        (">", ["x", None, None, None, None]),
        ("<=", ["y", "x", "z", None, None]),
        ("<", ["w", "x", "z", None, None]),
    ],
)
@pytest.mark.parametrize("clause", ["ON l.k = r.k", "USING (k)"])
def test_asof_join_finds_the_nearest_row(
    sql: Sql, quotes: None, comparison: str, found: list[str | None], clause: str
) -> None:
    rows = sql(f"SELECT l.id, r.v FROM l ASOF JOIN r MATCH_CONDITION (l.ts {comparison} r.ts) {clause} ORDER BY 1")
    assert rows == [(number, v) for number, v in enumerate(found, start=1)]


def test_asof_join_without_equality_and_star_of_using(sql: Sql, quotes: None) -> None:
    rows = sql("SELECT a.id, b.v FROM l a ASOF JOIN r b MATCH_CONDITION (a.ts >= b.ts) ORDER BY a.id")
    assert rows == [(1, "y"), (2, None), (3, "x"), (4, "x"), (5, None)]
    rows = sql("SELECT * FROM l ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) USING (k) WHERE k = 'a' ORDER BY id LIMIT 1")
    assert rows == [("a", 1, 10, 10, "y")]


@pytest.mark.parametrize(
    ("clauses", "errno"),
    [
        ("MATCH_CONDITION (l.ts = r.ts)", 1003),
        ("MATCH_CONDITION (l.ts >= r.ts AND l.id > 1)", 1003),
        ("MATCH_CONDITION (l.ts)", 10_001),
        ("MATCH_CONDITION (r.ts <= l.ts)", 10_002),
        ("MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k OR l.id = 1", 10_003),
        ("MATCH_CONDITION (l.ts >= r.ts) ON l.k > r.k", 10_003),
        ("ON l.k = r.k", 1003),
    ],
)
def test_invalid_asof_joins_are_rejected(sql: Sql, quotes: None, clauses: str, errno: int) -> None:
    with pytest.raises(ProgrammingError) as caught:
        sql(f"SELECT * FROM l ASOF JOIN r {clauses}")
    assert caught.value.errno == errno


def test_asof_join_through_snowpark(session: Session, quotes: None) -> None:
    left, right = session.table("l"), session.table("r")
    frame = left.join(
        right, on=left["k"] == right["k"], how="asof", match_condition=left["ts"] >= right["ts"], rsuffix="_r"
    ).sort("id")
    assert [tuple(row) for row in frame.select("id", "v").collect()] == [
        (1, "y"),
        (2, None),
        (3, None),
        (4, None),
        (5, None),
    ]
    assert frame.columns == ["ID", "K", "TS", "K_R", "TS_R", "V"]


def count(sql: Sql, clause: str) -> int:
    return int(sql(f"SELECT COUNT(*) FROM n {clause}")[0][0])


def test_samples_by_fraction_and_size(sql: Sql) -> None:
    sql("CREATE TABLE n AS SELECT SEQ4() AS i FROM TABLE(GENERATOR(ROWCOUNT => 20000))")
    assert count(sql, "SAMPLE (0)") == 0
    assert count(sql, "TABLESAMPLE ROW (100)") == 20_000
    assert 8_000 < count(sql, "SAMPLE BERNOULLI (50)") < 12_000
    assert count(sql, "SAMPLE BLOCK (100)") == count(sql, "SAMPLE SYSTEM (100)") == 20_000
    assert count(sql, "SAMPLE ROW (3 ROWS)") == count(sql, "SAMPLE (3 ROWS)") == 3
    assert count(sql, "SAMPLE (30000 ROWS)") == 20_000


@pytest.mark.parametrize("method", ["ROW", "BLOCK"])
def test_a_seeded_sample_is_reproducible(sql: Sql, method: str) -> None:
    sql("CREATE TABLE n AS SELECT SEQ4() AS i FROM TABLE(GENERATOR(ROWCOUNT => 20000))")
    query = "SELECT i FROM n SAMPLE {} (50) {} ({}) ORDER BY i"
    first = sql(query.format(method, "SEED", 7))
    assert sql(query.format(method, "REPEATABLE", 7)) == first
    if method == "ROW":
        assert sql(query.format(method, "SEED", 8)) != first


@pytest.mark.parametrize("clause", ["SAMPLE SYSTEM (3 ROWS)", "SAMPLE (3 ROWS) SEED (3)", "SAMPLE (1000001 ROWS)"])
def test_unsupported_samples_are_rejected(sql: Sql, clause: str) -> None:
    sql("CREATE TABLE n (i INT)")
    with pytest.raises(ProgrammingError) as caught:
        count(sql, clause)
    assert (caught.value.errno, caught.value.sqlstate) == (2, "0A000")


def test_snowpark_samples_and_splits(session: Session) -> None:
    frame = session.range(1000)
    assert frame.sample(n=10).count() == 10
    assert frame.sample(frac=0.0).count() == 0
    assert frame.sample(frac=1.0).count() == 1000
    parts = frame.random_split([0.7, 0.3], seed=5)
    ids = [row[0] for part in parts for row in part.collect()]
    assert sorted(ids) == list(range(1000))
