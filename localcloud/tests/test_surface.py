"""The tables of the local cloud's document are what this run of the suite saw."""

from __future__ import annotations

import pytest

from localcloud.tests.surface import DOCUMENT, SEEN, documented, statement_name


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


def test_the_document_tells_what_the_suite_saw(request: pytest.FixtureRequest) -> None:
    text = DOCUMENT.read_text()
    current = documented(text, SEEN.tables())
    if request.config.getoption("--write-surface"):
        DOCUMENT.write_text(current)
        return
    assert text == current, "run `make docs`"
