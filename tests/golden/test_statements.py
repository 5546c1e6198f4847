"""Every statement that the stages send to Snowflake for the churn example matches its golden file and is valid."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from snowflake.connector.errors import ProgrammingError
from sqlglot.errors import SqlglotError

from localcloud.snowflake.statements.dialect import parse_statement, recognises
from tests.golden.sent import sent, shown
from tests.support.statements import mutants, read

NAMES = ("runs", "features", "export", "registry", "deploy", "batch", "monitor", "infra")


def of_the_grammar() -> Iterator[str]:
    """The statements that sqlglot does not parse but keeps as text."""
    for statements in sent().values():
        yield from (statement.text for statement in statements if recognises(statement.text))


@pytest.mark.parametrize("name", NAMES)
def test_statements_match_the_golden_files(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.sql", shown(sent()[name]))


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_parses(name: str) -> None:
    for statement in sent()[name]:
        read(statement.text)


@pytest.mark.parametrize("name", NAMES)
def test_every_bind_has_a_placeholder(name: str) -> None:
    for statement in sent()[name]:
        assert statement.text.count("?") == len(statement.binds), statement.text


@pytest.mark.parametrize(
    "text", ["CREATE PIPE p AS COPY INTO t FROM @st", "SHOW FAILOVER GROUPS", "EXPLAIN SELECT 1", "nonsense here"]
)
def test_statements_outside_the_grammar_are_rejected(text: str) -> None:
    with pytest.raises((ValueError, ProgrammingError, SqlglotError)):
        read(text)


def test_only_the_projects_grammar_parses_these_statements() -> None:
    kinds = {type(parse_statement(text)).__name__ for text in of_the_grammar()}
    assert kinds == {
        *("CopyIntoLocation", "CopyIntoTable", "CreateExternalFunction", "Alter", "Drop", "Grant", "CreateRole"),
        *("Show", "ShowGrants"),
        *("CreateWarehouse", "CreateStorageIntegration", "CreateApiIntegration", "CreateStage"),
    }


def test_mutated_statements_are_rejected() -> None:
    survived, tried = [], 0
    for text in {*of_the_grammar()}:
        for spoilt, mutant in mutants(text):
            tried += 1
            try:
                parse_statement(mutant)
            except ProgrammingError:
                continue
            survived.append(f"{spoilt}: {mutant}")
    assert tried > 200
    assert survived == []
