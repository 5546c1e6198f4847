"""Masking and row access policies on sources, as Snowflake lists them to the features stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import CallerError
from app.features.policies import read_policies
from app.spec.schema import Source
from app.sql import Statement

MADE = """CREATE OR REPLACE TABLE RAW.POLICY_PEOPLE (NAME VARCHAR, REGION VARCHAR)
CREATE OR REPLACE VIEW RAW.POLICY_VIEW AS SELECT 'x' AS NOTE
CREATE MASKING POLICY RAW.HIDE_TEXT AS (V VARCHAR) RETURNS VARCHAR -> '***'
CREATE ROW ACCESS POLICY RAW.OWN_REGION AS (R VARCHAR) RETURNS BOOLEAN -> R = 'EU'
ALTER TABLE RAW.POLICY_PEOPLE MODIFY COLUMN NAME SET MASKING POLICY RAW.HIDE_TEXT
ALTER TABLE RAW.POLICY_PEOPLE ADD ROW ACCESS POLICY RAW.OWN_REGION ON (REGION)
ALTER VIEW RAW.POLICY_VIEW MODIFY COLUMN NOTE SET MASKING POLICY RAW.HIDE_TEXT"""
DROPPED = """DROP TABLE RAW.POLICY_PEOPLE
DROP VIEW RAW.POLICY_VIEW
DROP MASKING POLICY RAW.HIDE_TEXT
DROP ROW ACCESS POLICY RAW.OWN_REGION"""


@pytest.fixture(scope="module")
def protected(warehouse: SnowflakeWarehouse) -> Iterator[None]:
    for statement in MADE.splitlines():
        warehouse.run(Statement(statement))
    yield
    for statement in DROPPED.splitlines():
        warehouse.run(Statement(statement))


def sources(**allowed: str) -> dict[str, Source]:
    tables = {"orders": "RAW.ORDERS", "people": "RAW.POLICY_PEOPLE", "notes": "SNOWSAGE.RAW.POLICY_VIEW"}
    return {
        name: Source.model_validate({"table": table, "policies": allowed.get(name, "refused")})
        for name, table in tables.items()
    }


def at(*keys: str | int) -> str:
    return ".".join(map(str, keys))


def test_policies_of_tables_and_views_are_refused(warehouse: SnowflakeWarehouse, protected: None) -> None:
    with pytest.raises(CallerError) as refused:
        read_policies(warehouse, sources(), at)
    lines = [line.partition(", so ")[0] for line in str(refused.value).splitlines()]
    assert lines == [
        "sources.notes: masking policy SNOWSAGE.RAW.HIDE_TEXT masks NOTE of SNOWSAGE.RAW.POLICY_VIEW",
        "sources.people: masking policy SNOWSAGE.RAW.HIDE_TEXT masks NAME of RAW.POLICY_PEOPLE",
        "sources.people: row access policy SNOWSAGE.RAW.OWN_REGION filters the rows of RAW.POLICY_PEOPLE by REGION",
    ]


def test_allowed_policies_are_notes(warehouse: SnowflakeWarehouse, protected: None) -> None:
    notes = read_policies(warehouse, sources(people="allowed", notes="allowed"), at)
    assert [note.rpartition(", ")[2] for note in notes] == ["as allowed"] * 3
    with pytest.raises(CallerError, match=r"sources\.notes"):
        read_policies(warehouse, sources(people="allowed"), at)


def test_a_table_that_policies_cannot_be_asked_for_is_a_note(warehouse: SnowflakeWarehouse) -> None:
    (note,) = read_policies(warehouse, {"gone": Source(table="RAW.POLICY_GONE")}, at)
    assert "is unknown" in note
