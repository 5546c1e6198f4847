"""Python functions: handlers in worker processes, called from SQL."""

from __future__ import annotations

import datetime
import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError, ProgrammingError

from localcloud.snowflake.routines.python.runtime.fork_server import ForkServers
from localcloud.snowflake.routines.python.runtime.packages import RUNTIMES
from localcloud.snowflake.routines.python.worker import messages
from localcloud.tests.snowflake.conftest import results
from localcloud.tests.waiting import LIMIT_S, wait_for

Sql = Callable[..., list[tuple[Any, ...]]]


def define(sql: Sql, head: str, body: str, *, handler: str = "f", clauses: str = "") -> None:
    sql(
        f"CREATE OR REPLACE FUNCTION {head} LANGUAGE PYTHON RUNTIME_VERSION = '3.11' {clauses} "
        f"HANDLER = '{handler}' AS $$\n{body}\n$$"
    )


def test_a_function_runs_in_a_process_that_is_reused(sql: Sql) -> None:
    define(sql, "where_am_i() RETURNS INT", "import os\ncalls = 0\ndef f():\n    return os.getpid()")
    first, second = sql("SELECT where_am_i()"), sql("SELECT where_am_i()")
    assert first == second
    assert first[0][0] != os.getpid()


def test_rows_of_a_table(sql: Sql) -> None:
    define(sql, "add_one(x INT) RETURNS INT", "def f(x):\n    return None if x is None else x + 1")
    sql("CREATE TABLE t AS SELECT * FROM VALUES (1), (2), (NULL) v(x)")
    assert sql("SELECT x, add_one(x) FROM t ORDER BY x NULLS LAST") == [(1, 2), (2, 3), (None, None)]
    assert sql("SELECT SUM(add_one(add_one(x))) FROM t") == [(7,)]


ROUND_TRIPS = [
    ("NUMBER(38,0)", "7", "int", 7),
    ("NUMBER(10,2)", "1.5", "Decimal", Decimal("1.50")),
    ("NUMBER(30,0)", "123456789012345678901234567890", "int", 123456789012345678901234567890),
    ("FLOAT", "1.5", "float", 1.5),
    ("VARCHAR", "'é'", "str", "é"),
    ("BOOLEAN", "TRUE", "bool", True),
    ("DATE", "'2024-02-29'::DATE", "date", datetime.date(2024, 2, 29)),
    ("TIME", "'12:34:56.789'::TIME", "time", datetime.time(12, 34, 56, 789000)),
    (
        *("TIMESTAMP_NTZ", "'2024-01-02 03:04:05.678901'::TIMESTAMP_NTZ", "datetime"),
        datetime.datetime(2024, 1, 2, 3, 4, 5, 678901),
    ),
    ("BINARY", "TO_BINARY('FF00', 'HEX')", "bytes", b"\xff\x00"),
    ("VARIANT", "PARSE_JSON('{\"a\": [1, null]}')", "dict", '{"a":[1,null]}'),
    ("OBJECT", "OBJECT_CONSTRUCT('a', 1)", "dict", '{"a":1}'),
    ("ARRAY", "ARRAY_CONSTRUCT(1, 'a')", "list", '[1,"a"]'),
]


@pytest.mark.parametrize(("type_", "value", "python", "answer"), ROUND_TRIPS, ids=[case[0] for case in ROUND_TRIPS])
def test_round_trip_of_every_type(sql: Sql, type_: str, value: str, python: str, answer: Any) -> None:
    define(sql, f"kind(x {type_}) RETURNS VARCHAR", "def f(x):\n    return type(x).__name__")
    define(sql, f"same(x {type_}) RETURNS {type_}", "def f(x):\n    return x")
    ((kind, found),) = sql(f"SELECT kind({value}), same({value})")
    assert kind == python
    if python in ("dict", "list"):
        found = "".join(found.split())
    assert found == answer
    assert sql(f"SELECT same(NULL::{type_})") == [(None,)]


def test_timestamps_with_a_time_zone(sql: Sql) -> None:
    define(sql, "local(x TIMESTAMP_LTZ) RETURNS VARCHAR", "def f(x):\n    return repr((x.hour, x.tzinfo))")
    assert sql("SELECT local('2024-01-02 07:00:00 -0500'::TIMESTAMP_LTZ)") == [("(12, None)",)]
    define(sql, "same(x TIMESTAMP_LTZ) RETURNS TIMESTAMP_LTZ", "def f(x):\n    return x")
    assert sql("SELECT same('2024-01-02 12:00:00 +0000'::TIMESTAMP_LTZ)::VARCHAR LIKE '2024-01-02%'") == [(True,)]
    define(sql, "aware(x TIMESTAMP_TZ) RETURNS BOOLEAN", "def f(x):\n    return x.tzinfo is not None")
    assert sql("SELECT aware('2024-01-02 12:00:00 +0000'::TIMESTAMP_TZ)") == [(True,)]


def test_sql_null_in_a_variant_is_not_json_null(sql: Sql) -> None:
    body = "def f(x):\n    return 'sql' if getattr(x, 'is_sql_null', False) else 'json' if x is None else 'value'"
    define(sql, "which(x VARIANT) RETURNS VARCHAR", body)
    assert sql("SELECT which(NULL), which(PARSE_JSON('null')), which(1)") == [("sql", "json", "value")]


def test_strict_defaults_and_names(sql: Sql) -> None:
    define(sql, "plus(a INT, b INT DEFAULT 10) RETURNS INT", "def f(a, b):\n    return a + b", clauses="STRICT")
    assert sql("SELECT plus(1), plus(1, 2), plus(b => 5, a => 1), plus(NULL, 1)") == [(11, 3, 6, None)]
    assert sql("SELECT plus(a => 1), plus(x) FROM VALUES (1), (NULL) v(x)") == [(11, 11), (11, None)]
    with pytest.raises(ProgrammingError, match="Invalid argument types for function 'PLUS'") as refused:
        sql("SELECT plus(1, 2, 3)")
    assert (refused.value.errno, refused.value.sqlstate) == (1044, "42P13")


def test_overloads_by_number_and_type(sql: Sql) -> None:
    define(sql, "what(x INT) RETURNS VARCHAR", "def f(x):\n    return 'number'")
    define(sql, "what(x VARCHAR) RETURNS VARCHAR", "def f(x):\n    return 'text'")
    define(sql, "what() RETURNS VARCHAR", "def f():\n    return 'nothing'")
    assert sql("SELECT what(1), what('a'), what(), what(1::VARCHAR)") == [("number", "text", "nothing", "text")]
    with pytest.raises(ProgrammingError, match="ambiguous call of the overloaded WHAT; cast the arguments"):
        sql("SELECT what(n) FROM VALUES (1) v(n)")


def test_vectorized_functions(sql: Sql) -> None:
    body = (
        "import pandas\nfrom _snowflake import vectorized\n\n"
        "@vectorized(input=pandas.DataFrame, max_batch_size=2)\n"
        "def f(df):\n    assert len(df) <= 2\n    return df[0] + df[1]"
    )
    define(sql, "total(a INT, b INT) RETURNS INT", body, clauses="PACKAGES = ('pandas')")
    sql("CREATE TABLE t AS SELECT * FROM VALUES (1, 10), (2, 20), (3, NULL) v(a, b)")
    assert sql("SELECT total(a, b) FROM t ORDER BY a") == [(11,), (22,), (None,)]
    body = "import pandas\ndef f(df):\n    return df[0].dt.year\nf._sf_vectorized_input = pandas.DataFrame"
    define(sql, "year_of(x DATE) RETURNS INT", body, clauses="PACKAGES = ('pandas')")
    assert sql("SELECT year_of('2024-05-06'::DATE)") == [(2024,)]
    body = (
        "import pandas\ndef f(df):\n    return [str(kind) for kind in df.dtypes] * len(df)\n"
        "f._sf_vectorized_input = pandas.DataFrame"
    )
    define(sql, "kinds(x FLOAT) RETURNS VARCHAR", body, clauses="PACKAGES = ('pandas')")
    assert sql("SELECT kinds(1.5)") == [("float64",)]
    body = "import pandas\ndef f(df):\n    return df[0].iloc[:0]\nf._sf_vectorized_input = pandas.DataFrame"
    define(sql, "short(x FLOAT) RETURNS FLOAT", body, clauses="PACKAGES = ('pandas')")
    with pytest.raises(ProgrammingError, match="returned 0 values for a batch of 1 rows"):
        sql("SELECT short(1.5)")


@pytest.mark.slow
def test_a_million_rows_are_sent_in_batches(sql: Sql) -> None:
    body = (
        "import pandas\nlargest = 0\n\ndef f(df):\n    global largest\n    largest = max(largest, len(df))\n"
        "    return pandas.Series([largest] * len(df))\nf._sf_vectorized_input = pandas.DataFrame"
    )
    define(sql, "batch(x INT) RETURNS INT", body, clauses="PACKAGES = ('pandas')")
    ((count, largest),) = sql(
        "SELECT COUNT(*), MAX(batch(SEQ)) FROM (SELECT SEQ4() AS SEQ FROM TABLE(GENERATOR(ROWCOUNT => 1000000)))"
    )
    assert count == 1_000_000
    assert largest <= 2048


def test_handler_errors_include_the_traceback(sql: Sql) -> None:
    define(sql, "bad(x INT) RETURNS INT", "def g(x):\n    return 1 // x\n\ndef f(x):\n    return g(x)")
    with pytest.raises(ProgrammingError) as raised:
        sql("SELECT bad(0)")
    assert (raised.value.errno, raised.value.sqlstate) == (100_357, "P0000")
    assert (
        'Python Interpreter Error:\nTraceback (most recent call last):\n  File "_udf_code.py", line 6, in f\n'
        '  File "_udf_code.py", line 3, in g\nZeroDivisionError: integer division or modulo by zero\n'
        " in function BAD with handler f"
    ) in str(raised.value)
    assert sql("SELECT bad(1)") == [(1,)]


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        ("f() RETURNS INT", "def f(:\n    pass", "SyntaxError: invalid syntax"),
        ("f() RETURNS INT", "def g():\n    return 1", "Could not find handler f"),
        ("f() RETURNS INT", "import no_such_module\ndef f():\n    return 1", "No module named 'no_such_module'"),
        ("f() RETURNS INT", "def f():\n    return 'a'", r"cannot convert the handler's result to NUMBER\(38,0\)"),
        ("f() RETURNS BOOLEAN", "def f():\n    return 1", "cannot convert the handler's result to BOOLEAN"),
        ("f() RETURNS VARCHAR", "def f():\n    return 1", "cannot convert the handler's result to VARCHAR"),
        ("f() RETURNS OBJECT", "def f():\n    return [1]", "cannot convert the handler's result to OBJECT"),
        ("f() RETURNS INT", "import os\ndef f():\n    os._exit(3)", "process ended with exit code 3"),
        ("f() RETURNS INT", "import sys\ndef f():\n    sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_invalid_code_and_results_fail(sql: Sql, head: str, body: str, message: str) -> None:
    define(sql, head, body)
    with pytest.raises(ProgrammingError, match=message) as raised:
        sql("SELECT f()")
    assert raised.value.errno == 100_357
    assert sql("SELECT 1") == [(1,)]


def test_a_cancelled_statement_ends_its_process(connect: Callable[..., Any], schema: str) -> None:
    connection = connect(schema=schema)
    cursor = connection.cursor()
    define(
        lambda text: cursor.execute(text).fetchall(), "forever() RETURNS INT", "def f():\n    while True:\n        pass"
    )
    cursor.execute_async("SELECT forever()")
    other = connect().cursor()
    cancel = f"SELECT SYSTEM$CANCEL_QUERY('{cursor.sfqid}')"
    wait_for(lambda: other.execute(cancel).fetchone()[0], lambda answer: "terminated" in answer)
    with pytest.raises(DatabaseError, match="SQL execution canceled"):
        results(cursor)
    connection.close()


def test_show_describe_alter_and_drop(sql: Sql, schema: str) -> None:
    define(
        sql, "one(x INT, y VARCHAR DEFAULT 'a') RETURNS FLOAT", "def f(x, y):\n    return 1.0", clauses="COMMENT = 'c'"
    )
    (shown,) = sql(f"SHOW USER FUNCTIONS LIKE 'one' IN SCHEMA {schema}")
    assert (shown[1], shown[2], shown[6], shown[7], shown[9]) == ("ONE", schema, 1, 2, "c")
    assert shown[8] == "ONE(NUMBER, DEFAULT VARCHAR) RETURN FLOAT"
    described = sql("DESCRIBE FUNCTION one(INT, VARCHAR)")
    names = ["signature", "returns", "language", "null handling", "volatility", "body", "imports", "handler"]
    assert [row[0] for row in described] == [
        *names,
        "runtime_version",
        "packages",
        "installed_packages",
        "is_aggregate",
    ]
    assert dict(described)["signature"] == "(X NUMBER, Y VARCHAR)"
    assert dict(described)["body"] == "\ndef f(x, y):\n    return 1.0\n"
    sql("COMMENT ON FUNCTION one(INT, VARCHAR) IS 'message later'")
    assert sql(f"SHOW USER FUNCTIONS LIKE 'one' IN SCHEMA {schema}")[0][9] == "message later"
    sql("ALTER FUNCTION one(INT, VARCHAR) RENAME TO uno")
    assert sql("SELECT uno(1)") == [(1.0,)]
    assert sql("DROP FUNCTION uno(NUMBER, TEXT)") == [("UNO successfully dropped.",)]
    with pytest.raises(ProgrammingError, match="Unknown function UNO"):
        sql("SELECT uno(1)")


def test_create_an_existing_function(sql: Sql) -> None:
    text = "one() RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = 3.11 HANDLER = 'f' AS 'def f(): return 1'"
    assert sql(f"CREATE FUNCTION {text}") == [("Function ONE successfully created.",)]
    with pytest.raises(ProgrammingError) as exists:
        sql(f"CREATE FUNCTION {text}")
    assert (exists.value.errno, exists.value.sqlstate) == (2002, "42710")
    assert "already exists" in sql(f"CREATE FUNCTION IF NOT EXISTS {text}")[0][0]
    sql(f"CREATE OR REPLACE FUNCTION {text.replace('return 1', 'return 2')}")
    assert sql("SELECT one()") == [(2,)]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("LANGUAGE JAVASCRIPT AS 'return 1'", 2, "LANGUAGE JAVASCRIPT"),
        ("AS '1'", 2, "LANGUAGE SQL"),
        ("LANGUAGE PYTHON HANDLER = 'f' AS ''", 2029, "RUNTIME_VERSION"),
        ("LANGUAGE PYTHON RUNTIME_VERSION = '3.9' HANDLER = 'f' AS ''", 391_569, "version 3.9 is decommissioned"),
        (
            "LANGUAGE PYTHON RUNTIME_VERSION = '2.7' HANDLER = 'f' AS ''",
            1008,
            "invalid value .2.7. for .* 'RUNTIME_VERSION'",
        ),
        ("LANGUAGE PYTHON RUNTIME_VERSION = '3' HANDLER = 'f' AS ''", 1008, "invalid value .3. for"),
        ("LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f'", 1003, "IMPORTS"),
        ("LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' TURBO = 1 AS ''", 1420, "invalid parameter 'TURBO'"),
        ("LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' SECRETS = ('a') AS ''", 2, "SECRETS"),
        (
            *("LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'f' PACKAGES = ('pandas==0.1') AS ''", 391_546),
            "Cannot create a Python function with the specified packages",
        ),
        (
            *("LANGUAGE PYTHON RUNTIME_VERSION = '3.11' HANDLER = 'm.f' IMPORTS = ('@~/no/m.py')", 91_016),
            "no/m.py' was not found",
        ),
    ],
)
def test_invalid_definitions_are_rejected(sql: Sql, text: str, code: int, message: str) -> None:
    with pytest.raises(ProgrammingError, match=message) as refused:
        sql(f"CREATE FUNCTION refused() RETURNS INT {text}")
    assert refused.value.errno == code


def test_installed_packages_are_listed(sql: Sql) -> None:
    rows = sql(
        "SELECT version, runtime_version FROM information_schema.packages "
        "WHERE package_name = 'pyarrow' AND language = 'python' ORDER BY runtime_version"
    )
    assert rows == [(metadata.version("pyarrow"), version) for version in RUNTIMES]


def test_packages_have_the_names_of_snowflakes_repository(sql: Sql) -> None:
    body = (
        "import xgboost\nfrom snowflake import telemetry\nimport snowflake.telemetry as same\n"
        "def f():\n    telemetry.set_span_attribute('key', 1)\n    telemetry.add_event('event', {'key': 'value'})\n"
        "    return xgboost.__version__ + str(same is telemetry)"
    )
    define(sql, "version() RETURNS VARCHAR", body, clauses="PACKAGES = ('xgboost', 'snowflake-telemetry-python')")
    assert sql("SELECT version()") == [(metadata.version("xgboost-cpu") + "True",)]
    names = "('xgboost', 'snowflake-telemetry-python')"
    found = sql(
        f"SELECT DISTINCT package_name FROM information_schema.packages WHERE package_name IN {names} ORDER BY 1"
    )
    assert found == [("snowflake-telemetry-python",), ("xgboost",)]


@pytest.mark.parametrize("version", RUNTIMES)
def test_every_runtime_version_of_snowflake_runs_here(sql: Sql, version: str) -> None:
    for name, text in (("quoted", f"'{version}'"), ("bare", version)):
        sql(
            f"CREATE FUNCTION {name}() RETURNS INT LANGUAGE PYTHON RUNTIME_VERSION = {text} HANDLER = 'f' AS 'def f(): return 1'"
        )
        assert sql(f"SELECT {name}()") == [(1,)]
        assert dict(sql(f"DESCRIBE FUNCTION {name}()"))["runtime_version"] == version


def test_imports_are_in_the_import_directory(sql: Sql, s3: Any, stage: str) -> None:
    prefix = stage.removeprefix("s3://lake/")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("inside/__init__.py", "WORD = 'zipped'")
    for name, body in (("words.txt", b"hello"), ("pack.zip", archive.getvalue())):
        s3.put_object(Bucket="lake", Key=f"{prefix}lib/{name}", Body=body)
    body = (
        "import sys\nfrom inside import WORD\n"
        "folder = sys._xoptions['snowflake_import_directory']\n"
        "def f():\n    return open(folder + 'words.txt').read() + ' ' + WORD"
    )
    define(sql, "look() RETURNS VARCHAR", body, clauses="IMPORTS = ('@st/lib/words.txt', '@st/lib/pack.zip')")
    assert sql("SELECT look()") == [("hello zipped",)]


def test_a_worker_exits_when_its_pipe_closes_even_while_working(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from localcloud.snowflake.routines.python.worker.main import main; main()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    type_ = {"name": "VARCHAR", "precision": None, "scale": None, "bigint": False}
    load = {
        "kind": "load",
        "log_level": 1000,
        "handler": "f",
        "code": "def f():\n    while True:\n        pass",
        "directory": str(tmp_path),
    }
    messages.write(process.stdin, {**load, "arguments": [], "returns": type_, "strict": False})
    reply = messages.read(process.stdout)
    assert reply is not None
    assert reply[0] == {"kind": "ready", "logs": []}
    messages.write(process.stdin, {"kind": "batch", "log_level": 1000, "rows": 1})
    process.stdin.close()
    assert process.wait(LIMIT_S) == 0
    process.stdout.close()


def test_forked_processes_have_random_numbers_of_their_own(sql: Sql) -> None:
    for name in ("one", "other"):
        body = "import random, numpy\ndef f():\n    return f'{random.random()} {numpy.random.rand()}'"
        define(sql, f"{name}() RETURNS VARCHAR", body)
    ((first, second),) = sql("SELECT one(), other()")
    assert set(first.split()).isdisjoint(second.split())


def test_the_fork_server_ends_its_processes_with_the_pool(tmp_path: Path) -> None:
    servers = ForkServers()
    forked = servers.fork((), str(tmp_path), "Etc/UTC")
    assert forked.alive
    servers.close()
    assert forked.wait(LIMIT_S) == -signal.SIGKILL
    forked.kill()
    forked.source.close()
    forked.target.close()


def test_a_worker_ends_with_its_session(connect: Callable[..., Any], schema: str) -> None:
    connection = connect(schema=schema)
    cursor = connection.cursor()
    define(
        lambda text: cursor.execute(text).fetchall(), "me() RETURNS INT", "import os\ndef f():\n    return os.getpid()"
    )
    process_id = cursor.execute("SELECT me()").fetchone()[0]
    os.kill(process_id, 0)
    connection.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


ROWS = "class H:\n    def process(self, n):\n        for i in range(n):\n            yield (i, {'k': i})\n"


def test_a_table_function_yields_rows_for_each_input_row(sql: Sql, schema: str) -> None:
    define(sql, "tf(n INT) RETURNS TABLE (x INT, v VARIANT)", ROWS, handler="H")
    assert sql("SELECT x, v:k::INT FROM TABLE(tf(2)) ORDER BY x") == [(0, 0), (1, 1)]
    inputs = "(SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 0) AS t"
    rows = [(1, 0), (2, 0), (2, 1)]
    assert sql(f"SELECT a, x FROM {inputs}, TABLE({schema}.tf(a)) ORDER BY 1, 2") == rows
    assert sql(f"SELECT t.a, f.x FROM {inputs} JOIN TABLE(tf(t.a)) AS f ORDER BY 1, 2") == rows
    assert sql(f"SELECT a, x FROM {inputs} LEFT JOIN TABLE(tf(a) OVER ()) ORDER BY 1, 2") == [(0, None), *rows]
    assert [row[11] for row in sql("SHOW USER FUNCTIONS LIKE 'TF'")] == ["Y"]
    with pytest.raises(ProgrammingError, match="Unknown function TF"):
        sql("SELECT tf(1)")
    with pytest.raises(ProgrammingError, match="PARTITION BY and ORDER BY of a table function in Python"):
        sql(f"SELECT x FROM {inputs}, TABLE(tf(a) OVER (PARTITION BY a))")


def test_a_table_function_that_yields_wrong_rows_fails(sql: Sql) -> None:
    define(sql, "tf(n INT) RETURNS TABLE (x INT)", ROWS, handler="H")
    with pytest.raises(ProgrammingError, match="yielded 2 values for 1 columns"):
        sql("SELECT * FROM TABLE(tf(1))")


def test_a_strict_table_function_and_end_partition(sql: Sql) -> None:
    body = (
        "class H:\n    def process(self, n):\n        yield (n,)\n    def end_partition(self):\n        yield (-1,)\n"
    )
    define(sql, "tf(n INT) RETURNS TABLE (x INT) STRICT", body, handler="H")
    assert sql("SELECT x FROM TABLE(tf(5)) ORDER BY x") == [(-1,), (5,)]
    assert sql("SELECT x FROM TABLE(tf(NULL)) ORDER BY x") == [(-1,)]
