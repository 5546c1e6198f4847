"""Grammar of streams and tasks: statements that it parses, and mutants of valid statements that it must reject."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.objects.streams.syntax import CreateStream
from localcloud.snowflake.objects.tasks.syntax import CreateTask, ExecuteTask, SystemCall
from localcloud.snowflake.sql.syntax import Alter, Name
from localcloud.snowflake.statements.dialect import parse_statement

STREAM = "CREATE OR REPLACE STREAM d.s.x COPY GRANTS ON TABLE t AT (STREAM => 'y') APPEND_ONLY = TRUE COMMENT = 'c'"
TASK = (
    "CREATE TASK IF NOT EXISTS t WAREHOUSE = wh SCHEDULE = '5 MINUTE' ALLOW_OVERLAPPING_EXECUTION = TRUE COMMENT = 'c' "
    "WHEN SYSTEM$STREAM_HAS_DATA('s') AND CAST(1 AS INT) = 1 AS INSERT INTO a SELECT b AS c FROM s"
)
CHILD = "CREATE TASK t WAREHOUSE = 'wh' AFTER a, b COMMENT = 'c' AS CALL p('x')"
ALTER = "ALTER TASK IF EXISTS t SET SCHEDULE = 'USING CRON 0 9 * * MON UTC', USER_TASK_TIMEOUT_MS = 5"


def test_a_stream() -> None:
    found = parse_statement(STREAM)
    assert found == CreateStream(
        Name("X", "S", "D"),
        or_replace=True,
        comment="c",
        table=Name("T"),
        at_stream="y",
        append_only=True,
        copy_grants=True,
    )


def test_a_task_keeps_its_condition_and_its_body_as_text() -> None:
    found = parse_statement(TASK + ";")
    assert isinstance(found, CreateTask)
    assert found.when == "SYSTEM$STREAM_HAS_DATA('s') AND CAST(1 AS INT) = 1"
    assert found.body == "INSERT INTO a SELECT b AS c FROM s"
    assert dict(found.options) == {"WAREHOUSE": "WH", "SCHEDULE": "5 MINUTE", "ALLOW_OVERLAPPING_EXECUTION": True}


def test_other_statements_about_tasks() -> None:
    child = parse_statement(CHILD)
    assert isinstance(child, CreateTask)
    assert (child.after, child.body, child.comment) == ((Name("A"), Name("B")), "CALL p('x')", "c")
    assert parse_statement("EXECUTE TASK t RETRY LAST") == ExecuteTask(Name("T"), retry_last=True)
    assert parse_statement("ALTER TASK t MODIFY AS SELECT 1") == Alter(
        "TASK", Name("T"), "MODIFY AS", {"TEXT": "SELECT 1"}
    )
    assert parse_statement("CALL SYSTEM$SET_RETURN_VALUE('v')") == SystemCall("SYSTEM$SET_RETURN_VALUE", ("v",))


@pytest.mark.parametrize(
    ("original", "old", "new"),
    [
        (STREAM, "ON TABLE t", ""),
        (STREAM, "ON TABLE", "ON VIEW"),
        (STREAM, "OR REPLACE ", ""),
        (STREAM, "APPEND_ONLY = TRUE", "APPEND_ONLY TRUE"),
        (STREAM, "APPEND_ONLY = TRUE", "INSERT_ONLY = TRUE"),
        (STREAM, "STREAM => 'y'", "OFFSET => -60"),
        (STREAM, "'y')", "'y'"),
        (TASK, " AS INSERT INTO a SELECT b AS c FROM s", ""),
        (TASK, "SCHEDULE = '5 MINUTE'", "SCHEDULE = '5 FORTNIGHTS'"),
        (TASK, "SCHEDULE = '5 MINUTE'", "SCHEDULE = '5 SECONDS'"),
        (TASK, "'5 MINUTE'", "'USING CRON 61 * * * * UTC'"),
        (TASK, "'5 MINUTE'", "'USING CRON 0 * * * * Mars/Olympus'"),
        (TASK, "WAREHOUSE = wh", "WAREHOUSE = wh WAREHOUSE = wh"),
        (TASK, "WAREHOUSE", "WAREHOOSE"),
        (TASK, "INSERT INTO a SELECT b AS c FROM s", "BEGIN SELECT 1; END"),
        (CHILD, "AFTER a, b", "AFTER a,"),
        (CHILD, "AFTER a, b", "AFTER"),
        (ALTER, "SET", "RESET"),
        (ALTER, "USER_TASK_TIMEOUT_MS = 5", "USER_TASK_TIMEOUT_MS = soon"),
        (ALTER, "USER_TASK_TIMEOUT_MS = 5", "ERROR_INTEGRATION = e"),
    ],
)
def test_mutants_are_rejected(original: str, old: str, new: str) -> None:
    assert parse_statement(original)
    assert old in original
    with pytest.raises(ProgrammingError):
        parse_statement(original.replace(old, new, 1))
