"""Streams: net changes, exact offsets, and conditions that end a stream."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

Sql = Callable[..., list[tuple[Any, ...]]]

CHANGES = "SELECT a, b, METADATA$ACTION, METADATA$ISUPDATE FROM s ORDER BY 1, 2, 3"


@pytest.fixture
def landing(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT, b VARCHAR)")
    sql("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (2, 'y')")
    sql("CREATE STREAM s ON TABLE t")
    sql("CREATE TABLE sink (a INT, b VARCHAR)")


def code(sql: Sql, text: str) -> tuple[int, str]:
    with pytest.raises(ProgrammingError) as caught:
        sql(text)
    return caught.value.errno, caught.value.sqlstate


def test_changes_are_net_and_equal_rows_are_counted(sql: Sql, landing: None) -> None:
    assert sql(CHANGES) == []
    sql("INSERT INTO t VALUES (2, 'y'), (3, 'z'), (4, 'gone')")
    sql("DELETE FROM t WHERE a = 4")
    sql("UPDATE t SET b = 'w' WHERE a = 1")
    sql("DELETE FROM t WHERE a = 2")
    sql("UPDATE t SET b = 'zz' WHERE a = 3")
    assert sql(CHANGES) == [
        (1, "w", "INSERT", True),
        (1, "x", "DELETE", True),
        (2, "y", "DELETE", False),
        (2, "y", "DELETE", False),
        (3, "zz", "INSERT", False),
    ]
    ids = sql("SELECT METADATA$ROW_ID FROM s WHERE a = 1")
    assert ids[0] == ids[1]
    assert len(set(sql("SELECT METADATA$ROW_ID FROM s"))) == 4


def test_columns_and_hidden_objects(cursor: Any, sql: Sql, landing: None) -> None:
    cursor.execute("SELECT * FROM s")
    assert [column.name for column in cursor.description] == [
        *("A", "B", "METADATA$ACTION", "METADATA$ISUPDATE", "METADATA$ROW_ID"),
    ]
    cursor.execute("SELECT * FROM t")
    assert [column.name for column in cursor.description] == ["A", "B"]
    names = sql("SELECT table_name FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() ORDER BY 1")
    assert names == [("SINK",), ("T",)]
    assert not any("stream" in str(row).lower() for row in sql("SHOW TABLES IN DATABASE snowsage"))


def test_all_writes_are_recorded(sql: Sql, cursor: Any, landing: None) -> None:
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [(10, "i"), (11, "j")])
    sql(
        "MERGE INTO t USING (SELECT 1 AS a, 'm' AS b UNION ALL SELECT 12, 'n') AS n ON t.a = n.a "
        "WHEN MATCHED THEN UPDATE SET b = n.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (n.a, n.b)"
    )
    assert sql(CHANGES) == [
        (1, "m", "INSERT", True),
        (1, "x", "DELETE", True),
        (10, "i", "INSERT", False),
        (11, "j", "INSERT", False),
        (12, "n", "INSERT", False),
    ]
    sql("INSERT OVERWRITE INTO t SELECT 20, 'o'")
    assert sql(CHANGES) == [
        (1, "x", "DELETE", False),
        (2, "y", "DELETE", False),
        (2, "y", "DELETE", False),
        (20, "o", "INSERT", False),
    ]
    sql("TRUNCATE TABLE t")
    assert [row[0] for row in sql(CHANGES)] == [1, 2, 2]


def test_only_dml_consumes(sql: Sql, landing: None) -> None:
    sql("INSERT INTO t VALUES (3, 'z')")
    assert sql("SELECT SYSTEM$STREAM_HAS_DATA('s')") == [(True,)]
    assert len(sql("SELECT * FROM s")) == len(sql("SELECT * FROM s")) == 1
    sql("INSERT INTO sink SELECT a, b FROM s WHERE FALSE")
    assert sql("SELECT SYSTEM$STREAM_HAS_DATA('s')") == [(False,)]
    sql("INSERT INTO t VALUES (4, 'z')")
    sql("CREATE TABLE copied AS SELECT a FROM s")
    assert sql("SELECT * FROM copied") == [(4,)]
    assert sql("SELECT * FROM s") == []
    sql("INSERT INTO t VALUES (5, 'z')")
    sql("MERGE INTO sink USING s ON sink.a = s.a WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)")
    assert (sql("SELECT a FROM sink"), sql("SELECT * FROM s")) == ([(5,)], [])
    sql("INSERT INTO t VALUES (5, 'again')")
    sql("DELETE FROM sink WHERE a IN (SELECT a FROM s)")
    assert (sql("SELECT a FROM sink"), sql("SELECT * FROM s")) == ([], [])


def test_a_failed_statement_and_a_rollback_keep_the_offset(sql: Sql, landing: None) -> None:
    sql("INSERT INTO t VALUES (3, 'z')")
    assert code(sql, "INSERT INTO sink SELECT b, b FROM s") == (100038, "22018")
    sql("BEGIN")
    sql("INSERT INTO sink SELECT a, b FROM s")
    sql("INSERT INTO t VALUES (4, 'unseen')")
    sql("INSERT INTO sink SELECT a, b FROM s")
    assert sql("SELECT a FROM sink") == [(3,), (3,)]
    sql("ROLLBACK")
    assert [row[0] for row in sql(CHANGES)] == [3]
    sql("BEGIN")
    sql("INSERT INTO sink SELECT a, b FROM s")
    sql("INSERT INTO t VALUES (4, 'later')")
    sql("COMMIT")
    assert [row[0] for row in sql(CHANGES)] == [4]


def test_a_writer_that_began_earlier_and_commits_later_is_not_skipped(
    sql: Sql, landing: None, connect: Any, schema: str
) -> None:
    other = connect(schema=schema).cursor()
    other.execute("BEGIN")
    other.execute("INSERT INTO t VALUES (100, 'slow')")
    sql("INSERT INTO t VALUES (101, 'fast')")
    sql("INSERT INTO sink SELECT a, b FROM s")
    other.execute("COMMIT")
    sql("INSERT INTO sink SELECT a, b FROM s")
    assert sql("SELECT a FROM sink ORDER BY a") == [(100,), (101,)]


def test_concurrent_writers_and_consumers_lose_and_duplicate_nothing(
    sql: Sql, landing: None, connect: Any, schema: str
) -> None:
    def write(base: int) -> None:
        cursor = connect(schema=schema).cursor()
        for number in range(8):
            cursor.execute(f"INSERT INTO t VALUES ({base + number}, 'c')")

    def consume() -> None:
        cursor = connect(schema=schema).cursor()
        for _ in range(6):
            cursor.execute("INSERT INTO sink SELECT a, b FROM s")

    threads = [threading.Thread(target=write, args=(base,)) for base in (1000, 2000)]
    threads += [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sql("INSERT INTO sink SELECT a, b FROM s")
    assert [row[0] for row in sql("SELECT a FROM sink ORDER BY a")] == [*range(1000, 1008), *range(2000, 2008)]


def test_append_only_initial_rows_and_several_streams_on_one_table(sql: Sql, landing: None) -> None:
    sql("CREATE STREAM added ON TABLE t APPEND_ONLY = TRUE")
    sql("CREATE STREAM whole ON TABLE t SHOW_INITIAL_ROWS = TRUE")
    sql("CREATE STREAM same ON TABLE t AT (STREAM => 's')")
    sql("INSERT INTO t VALUES (3, 'z')")
    sql("DELETE FROM t WHERE a >= 2")
    assert sql("SELECT a, METADATA$ACTION FROM added") == [(3, "INSERT")]
    assert sql("SELECT a, METADATA$ACTION FROM whole ORDER BY a") == [(1, "INSERT"), (2, "INSERT"), (2, "INSERT")]
    sql("INSERT INTO sink SELECT whole.a, same.b FROM whole JOIN same ON whole.a = same.a")
    assert sql("SELECT a, METADATA$ACTION FROM whole") == [(2, "DELETE"), (2, "DELETE")]
    assert (sql("SELECT * FROM same"), len(sql("SELECT * FROM s"))) == ([], 2)


def test_a_view_over_a_stream_reads_and_consumes_it(sql: Sql, landing: None) -> None:
    sql("CREATE VIEW v AS SELECT a AS key FROM s WHERE METADATA$ACTION = 'INSERT'")
    sql("INSERT INTO t VALUES (3, 'z')")
    assert sql("SELECT * FROM v") == [(3,)]
    sql("INSERT INTO sink (a) SELECT key FROM v")
    assert (sql("SELECT * FROM v"), sql("SELECT a FROM sink")) == ([], [(3,)])


def test_altered_and_renamed_tables_keep_their_streams(sql: Sql, landing: None) -> None:
    sql("INSERT INTO t VALUES (3, 'z')")
    sql("CREATE STREAM whole ON TABLE t SHOW_INITIAL_ROWS = TRUE")
    sql("ALTER TABLE t ADD COLUMN c INT")
    sql("INSERT INTO t VALUES (4, 'z', 5)")
    sql("ALTER TABLE t RENAME TO u")
    sql("DELETE FROM u WHERE a = 1")
    assert sql("SELECT a, b, c, METADATA$ACTION FROM s ORDER BY a") == [
        (1, "x", None, "DELETE"),
        (3, "z", None, "INSERT"),
        (4, "z", 5, "INSERT"),
    ]
    assert sql("SELECT a, c FROM whole ORDER BY a") == [(1, None), (2, None), (2, None), (3, None)]


@pytest.mark.parametrize("ending", ["DROP TABLE t", "CREATE OR REPLACE TABLE t (a INT)"])
def test_a_dropped_or_replaced_table_ends_its_streams(sql: Sql, landing: None, ending: str) -> None:
    sql(ending)
    assert code(sql, "SELECT * FROM s") == (2003, "02000")
    assert [row[10] for row in sql("SHOW STREAMS IN SCHEMA")] == ["true"]


def test_objects(sql: Sql, landing: None, schema: str, cursor: Any) -> None:
    assert code(sql, "CREATE STREAM s ON TABLE t") == (2002, "42710")
    assert sql("CREATE STREAM IF NOT EXISTS s ON TABLE t") == [("S already exists, statement succeeded.",)]
    assert code(sql, "CREATE VIEW s AS SELECT 1 AS a") == (2002, "42710")
    assert code(sql, "CREATE STREAM x ON TABLE nowhere") == (2003, "02000")
    assert code(sql, "CREATE STREAM x ON VIEW v") == (2, "0A000")
    assert code(sql, "INSERT INTO s SELECT 1") == (2, "0A000")
    sql("ALTER STREAM s SET COMMENT = 'about'")
    cursor.execute("DESCRIBE STREAM s")
    shown = dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))
    assert (shown["comment"], shown["table_name"], shown["mode"], shown["stale"]) == (
        *("about", f"SNOWSAGE.{schema}.T", "DEFAULT", "false"),
    )
    assert (shown["stale_after"] - shown["created_on"]).days == 14
    assert sql("CREATE STREAM copied CLONE s") == [("Stream COPIED successfully created.",)]
    assert sql("DROP STREAM copied") == [("COPIED successfully dropped.",)]
    assert code(sql, "DROP STREAM copied") == (2003, "02000")
    sql("GRANT SELECT ON STREAM s TO ROLE sysadmin")


def test_loads_are_recorded_and_unloads_consume(sql: Sql, stage: str) -> None:
    sql("CREATE TABLE loaded (a INT)")
    sql("CREATE STREAM fresh ON TABLE loaded")
    sql("COPY INTO @st/in/ FROM (SELECT 1 AS a UNION ALL SELECT 2) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE")
    sql("COPY INTO loaded FROM @st/in/ FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    assert sql("SELECT a, METADATA$ACTION FROM fresh ORDER BY a") == [(1, "INSERT"), (2, "INSERT")]
    rows = sql("COPY INTO @st/out/ FROM (SELECT a FROM fresh) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE")
    assert rows[0][0] == 2
    assert sql("SELECT * FROM fresh") == []


def test_snowpark_reads_and_consumes_a_stream(snowpark: Any, sql: Sql, landing: None) -> None:
    sql("INSERT INTO t VALUES (3, 'z')")
    frame = snowpark.table("s")
    assert frame.columns == ["A", "B", "METADATA$ACTION", "METADATA$ISUPDATE", "METADATA$ROW_ID"]
    assert [row["A"] for row in frame.select("a").collect()] == [3]
    frame.select("a", "b").write.mode("append").save_as_table("sink")
    assert (sql("SELECT a FROM sink"), sql("SELECT * FROM s")) == ([(3,)], [])


def test_a_reader_in_a_transaction_locks_the_stream(sql: Sql, landing: None, connect: Any, schema: str) -> None:
    other = connect(schema=schema).cursor()
    sql("INSERT INTO t VALUES (3, 'z')")
    sql("BEGIN")
    assert [row[0] for row in sql(CHANGES)] == [3]
    other.execute("ALTER SESSION SET LOCK_TIMEOUT = 0")
    with pytest.raises(ProgrammingError) as caught:
        other.execute("INSERT INTO sink SELECT a, b FROM s")
    assert caught.value.errno == 625
    sql("INSERT INTO sink SELECT a, b FROM s")
    sql("COMMIT")
    other.execute("INSERT INTO sink SELECT a, b FROM s")
    assert sql("SELECT a FROM sink") == [(3,)]


@pytest.mark.slow
def test_replaying_the_changes_rebuilds_the_table(sql: Sql, landing: None) -> None:
    """Random changes with equal rows and NULLs, in and outside transactions: the stream equals the exact difference."""
    chance = random.Random(7)
    copy = Counter(sql("SELECT a, b FROM t"))
    statements = (
        lambda n: f"INSERT INTO t VALUES ({n % 3}, NULL), ({n % 3}, 'v'), ({n % 3}, 'v')",
        lambda n: f"UPDATE t SET b = 'u{n % 2}' WHERE a = {n % 4}",
        lambda n: f"UPDATE t SET a = {n % 3} WHERE b IS NULL",
        lambda n: f"DELETE FROM t WHERE a = {n % 3} AND b = 'u{n % 2}'",
        lambda n: (
            f"MERGE INTO t USING (SELECT {n % 5} AS a) AS m ON t.a = m.a WHEN MATCHED AND t.b = 'v' THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET b = 'm' WHEN NOT MATCHED THEN INSERT (a, b) VALUES (m.a, 'n')"
        ),
        lambda n: "INSERT OVERWRITE INTO t SELECT a, b FROM t WHERE a < 3",
    )
    for _ in range(12):
        for _ in range(chance.randint(1, 4)):
            together, kept = chance.random() < 0.5, chance.random() < 0.6
            if together:
                sql("BEGIN")
            for _ in range(chance.randint(1, 3)):
                sql(chance.choice(statements)(chance.randint(0, 9)))
            if together:
                sql("COMMIT" if kept else "ROLLBACK")
        changes = sql("SELECT a, b, METADATA$ACTION FROM s")
        copy.subtract(row[:2] for row in changes if row[2] == "DELETE")
        assert min(copy.values()) >= 0
        copy.update(row[:2] for row in changes if row[2] == "INSERT")
        assert +copy == Counter(sql("SELECT a, b FROM t"))
        sql("INSERT INTO sink SELECT a, b FROM s")


@pytest.mark.parametrize(
    "create",
    [
        "CREATE TEMPORARY TABLE copy AS SELECT id FROM s",
        "CREATE OR REPLACE TEMPORARY TABLE copy AS SELECT id, 'x'::VARCHAR(7) AS v FROM s",
        "CREATE TABLE copy COMMENT = 'text' AS SELECT id FROM s",
        "CREATE TRANSIENT TABLE copy AS SELECT id, 'x'::VARCHAR(7) AS v FROM s",
    ],
)
def test_a_new_table_of_any_kind_takes_the_changes(sql: Sql, create: str) -> None:
    sql("CREATE TABLE src (id INT)")
    sql("CREATE STREAM s ON TABLE src")
    sql("INSERT INTO src VALUES (1), (2)")
    sql(create)
    assert sql("SELECT id FROM copy ORDER BY id") == [(1,), (2,)]
    assert sql("SELECT COUNT(*) FROM s") == [(0,)]


def test_a_temporary_table_that_was_not_created_hides_nothing(sql: Sql) -> None:
    sql("CREATE TABLE kept AS SELECT 1 AS id")
    with pytest.raises(ProgrammingError):
        sql("CREATE TEMPORARY TABLE kept AS SELECT 1 / 0 AS id")
    assert sql("SELECT id FROM kept") == [(1,)]
