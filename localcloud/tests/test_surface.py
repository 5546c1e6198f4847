"""The record behind the tables of the local cloud's document."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.tests.surface import Surface, statement_name


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("create or replace temporary stage s", "CREATE STAGE"),
        ("CREATE SECURE EXTERNAL FUNCTION f(a INT)", "CREATE EXTERNAL FUNCTION"),
        ("DESC TABLE t", "DESCRIBE TABLE"),
        ("copy into @s/x FROM t", "COPY INTO location"),
        ("COPY INTO t FROM @s", "COPY INTO table"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
        ("SHOW TERSE EXTERNAL FUNCTIONS", "SHOW EXTERNAL FUNCTIONS"),
        ("DROP TABLE IF EXISTS t", "DROP TABLE"),
    ],
)
def test_names_of_statements(statement: str, name: str) -> None:
    assert statement_name(statement) == name


def test_records_of_several_processes_make_one_table() -> None:
    first, second, both = Surface(), Surface(), Surface()
    first.recording = second.recording = True
    first.statement("CREATE STAGE s", None)
    second.statement("CREATE STAGE t", ProgrammingError("The local Snowflake does not support this."))
    second.statement("SHOW TABLES", None)
    for part in (first, second):
        both.add(part.record())
    assert "| CREATE STAGE | yes | this |" in both.tables()
    assert "| SHOW TABLES | yes |  |" in both.tables()


def test_nothing_is_recorded_outside_of_tests() -> None:
    surface = Surface()
    surface.statement("CREATE STAGE s", None)
    assert surface.record() == {"works": [], "unsupported": []}
