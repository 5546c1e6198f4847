"""Statements that cannot run: each is answered with Snowflake's form of error and with the statement's own name.

The statements run on an account in this process, without a server.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from snowflake.connector.errors import ProgrammingError
from sqlglot.dialects.snowflake import Snowflake

from localcloud.snowflake.assembly import assemble
from localcloud.snowflake.failures import INTERNAL
from localcloud.snowflake.limits import Limits
from localcloud.snowflake.objects.account.authentication import Users
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.statement_names import statement_name

Run = Callable[[str], ProgrammingError | None]

# One of each form. None of them changes the current database or schema.
STATEMENTS = (
    "CREATE OR REPLACE TABLE t (a INT NOT NULL, b VARCHAR(20) DEFAULT 'x', PRIMARY KEY (a)) COMMENT = 'c'",
    "CREATE TABLE IF NOT EXISTS u AS SELECT a + 1 AS c, b || 'y' AS d FROM t WHERE a IN (1, 2)",
    "CREATE OR REPLACE VIEW v (x, y) AS SELECT a, COUNT(*) OVER (PARTITION BY b ORDER BY a) FROM t",
    "INSERT INTO t (a, b) VALUES (1, 'p'), (2, NULL)",
    "INSERT INTO t SELECT a + 10, b FROM t WHERE a < 3",
    "UPDATE t SET b = 'q', a = a * 2 FROM u WHERE t.a = u.c",
    "DELETE FROM t USING u WHERE t.a = u.c AND u.d IS NOT NULL",
    "MERGE INTO t USING (SELECT 5 AS a, 'r' AS b) s ON t.a = s.a WHEN MATCHED AND s.a > 3 THEN UPDATE SET b = s.b "
    "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)",
    "WITH w AS (SELECT * FROM t) SELECT w.a, CASE WHEN b = 'p' THEN 1 ELSE 0 END FROM w LEFT JOIN t USING (a) ORDER BY 1 LIMIT 3",
    "SELECT a::VARCHAR(5), CAST(b AS VARIANT):k[0], {'k': 1, 'l': [a, 2]}, DATEADD(day, 1, '2024-01-01'::DATE) FROM t",
    "SELECT b, SUM(a) s FROM t GROUP BY b HAVING SUM(a) > 0 QUALIFY ROW_NUMBER() OVER (ORDER BY s) = 1",
    "SELECT f.value, FILTER([1, 2], x -> x > 1) FROM t, LATERAL FLATTEN(INPUT => ARRAY_CONSTRUCT(a, 2)) f",
    "SELECT * FROM t PIVOT(MAX(a) FOR b IN ('p', 'q')) AS p",
    "SELECT OBJECT_CONSTRUCT(* EXCLUDE (b)) FROM t SAMPLE (10 ROWS)",
    "ALTER TABLE t ADD COLUMN z NUMBER(10, 2)",
    "ALTER TABLE t DROP COLUMN z",
    "ALTER SESSION SET QUERY_TAG = 'x'",
    "CREATE SEQUENCE IF NOT EXISTS sq START = 1 INCREMENT = 2",
    "CREATE OR REPLACE FILE FORMAT ff TYPE = CSV FIELD_DELIMITER = ';'",
    "CREATE OR REPLACE STAGE st FILE_FORMAT = (FORMAT_NAME = 'ff') COMMENT = 'z'",
    "CREATE OR REPLACE TASK k SCHEDULE = '1 minute' AS INSERT INTO t VALUES (1, 'x')",
    "CREATE OR REPLACE STREAM sm ON TABLE t APPEND_ONLY = TRUE",
    "SHOW TABLES LIKE 't%' IN SCHEMA STARTS WITH 'T' LIMIT 5",
    "DESCRIBE TABLE t",
    "COMMENT ON TABLE t IS 'text'",
    "GRANT SELECT ON TABLE t TO ROLE public",
    "SET (x, y) = (1, 'z')",
    "TRUNCATE TABLE IF EXISTS u",
    "EXPLAIN USING TEXT SELECT 1",
    "CREATE MASKING POLICY p AS (v STRING) RETURNS STRING -> CASE WHEN TRUE THEN v ELSE '*' END",
)
_MUTANTS_OF_EACH = 6


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    account, runner = assemble(
        "LOCAL",
        Users({}),
        database="D",
        address=("127.0.0.1", 1),
        aws_endpoint_url="http://127.0.0.1:1",
        concurrency=1,
        limits=Limits(),
        observe=lambda _sql, _error: None,
    )
    session = Session(account, "U", "ACCOUNTADMIN")

    def run_one(sql: str) -> ProgrammingError | None:
        try:
            runner.run(session, sql, query_id=str(uuid.uuid4()))
        except ProgrammingError as error:
            return error
        return None

    run_one("CREATE SCHEMA D.S")
    run_one("USE SCHEMA D.S")
    yield run_one
    transaction.close(session)
    account.close()


def _parts(sql: str) -> list[str]:
    """The statement's tokens as they are written."""
    return [sql[token.start : token.end + 1] for token in Snowflake().tokenize(sql)]


def _mutants(sql: str, chance: random.Random) -> Iterator[str]:
    """The beginnings of the statement, and statements with a token left out, repeated, exchanged or replaced."""
    parts = _parts(sql)
    for end in range(1, len(parts), 2):
        yield " ".join(parts[:end])
    yield sql[: len(sql) // 2]
    others = [part for statement in STATEMENTS for part in _parts(statement)] + [
        "(",
        ")",
        ",",
        "'",
        "@",
        "$1",
        ";",
        ":",
        "::",
        "%",
    ]
    for _ in range(_MUTANTS_OF_EACH):
        changed = list(parts)
        at, other = chance.randrange(1, len(changed)), chance.randrange(1, len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            del changed[at]
        elif kind == 1:
            changed.insert(at, changed[other])
        elif kind == 2:
            changed[at], changed[other] = changed[other], changed[at]
        else:
            changed[at] = chance.choice(others)
        yield " ".join(changed)


@pytest.mark.parametrize("statement", STATEMENTS, ids=statement_name)
def test_no_mutant_shows_an_error_of_the_server_itself(run: Run, statement: str) -> None:
    """Truncated and mutated statements run, or fail with Snowflake's codes, never with an internal error."""
    for mutant in _mutants(statement, random.Random(statement)):
        error = run(mutant)
        if error is not None:
            shown = f"{mutant!r} -> {error.errno} {error.msg}"
            assert error.errno not in (None, INTERNAL), shown
            assert not re.search(
                r"Assertion|Traceback|sqlglot|fakesnow|object at 0x|_operand|<class", str(error.msg)
            ), shown


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("CREATE OR REPLACE PASSWORD POLICY p PASSWORD_MIN_LENGTH = 8", "CREATE PASSWORD POLICY"),
        ("create aggregation policy p as () returns aggregation_constraint -> x", "CREATE AGGREGATION POLICY"),
        ("CREATE NETWORK POLICY x ALLOWED_IP_LIST = ('1.1.1.1')", "CREATE NETWORK POLICY"),
        ("CREATE OR REPLACE PIPE p AS COPY INTO t FROM @s", "CREATE PIPE"),
        ("-- why\nEXPLAIN SELECT 1", "EXPLAIN"),
        ("EXECUTE IMMEDIATE 'SELECT 1'", "EXECUTE IMMEDIATE"),
        ("INSERT ALL INTO t VALUES (1) SELECT 1", "INSERT ALL"),
        ("ALTER TABLE t ADD SEARCH OPTIMIZATION", "ALTER TABLE"),
        ("UNSET x", "UNSET"),
        ("CREATE RESOURCE MONITOR m WITH CREDIT_QUOTA = 1", "CREATE RESOURCE MONITOR"),
        ("DROP COMPUTE POOL c", "DROP COMPUTE POOL"),
        ("SHOW REPLICATION GROUPS", "SHOW REPLICATION GROUPS"),
    ],
)
def test_a_statement_that_is_not_supported_is_named(run: Run, sql: str, name: str) -> None:
    error = run(sql)
    assert error is not None
    assert (error.errno, error.sqlstate) == (2, "0A000")
    assert f"does not support the statement {name}." in str(error.msg)


@pytest.mark.parametrize(
    ("sql", "unexpected"),
    [
        ("CREATE OR", "<EOF>"),
        ("CREATE OR REPLACE FOO x", "FOO"),
        ("CREATE TABLE", "<EOF>"),
        ("SELECT a FROM", "<EOF>"),
        ("SELECT (1", "<EOF>"),
        ("SELECT )", ")"),
        ("CREATE TASK k ) = '1 minute' AS SELECT 1", ")"),
        ("VACUUM", "VACUUM"),
        ("PRAGMA version", "PRAGMA"),
        ("foo bar baz", "foo"),
        ("/* x */ FROM t", "FROM"),
        ("123", "123"),
        ("", "<EOF>"),
    ],
)
def test_a_text_that_is_no_statement_is_a_syntax_error_at_its_place(run: Run, sql: str, unexpected: str) -> None:
    error = run(sql)
    assert error is not None
    assert error.errno == 1003
    assert f"unexpected '{unexpected}'" in str(error.msg)


def test_operands_and_objects_of_a_wrong_form_are_rejected(run: Run) -> None:
    error = run("SELECT r * 2 FROM (SELECT 1 AS a) AS r")
    assert error is not None
    assert error.errno == 1044
    error = run("SELECT {'k': 1, : [1]}")
    assert error is not None
    assert error.errno == 1003


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT * FROM t AT(OFFSET => -60)", "time travel"),
        ("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (x) DEFINE x AS TRUE)", "MATCH_RECOGNIZE"),
        ("SELECT 1 FROM t CONNECT BY PRIOR a = b", "CONNECT BY"),
        ("SELECT * FROM TABLE(FOO(1))", "the table function FOO"),
    ],
)
def test_a_clause_that_is_not_supported_is_named(run: Run, sql: str, text: str) -> None:
    error = run(sql)
    assert error is not None
    assert error.errno == 2
    assert text in str(error.msg)
