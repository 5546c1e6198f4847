"""Masking and row access policies on sources: the question, and what the answer means."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from app.errors import CallerError, TransientError, Unauthorized
from app.features.policies import policies_query, read_policies
from app.ports import Table
from app.spec.schema import Source
from tests.support.fakes import Answer, FakeWarehouse

SOURCES = {"orders": Source(table="RAW.ORDERS"), "shops": Source(table='LAKE.RAW."Shops"')}
MASK = ("orders", "MASKING_POLICY", "GOV", "RULES", "HIDE", "AMOUNT", None)
ROWS = ("shops", "ROW_ACCESS_POLICY", "GOV", "RULES", "OWN", None, '[ "REGION", "Owner" ]')


def at(*keys: str | int) -> str:
    return f"pipeline.yaml:7: {'.'.join(map(str, keys))}"


def asked(answer: Answer, allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    sources = {
        name: source.model_copy(update={"policies": "allowed"}) if name in allowed else source
        for name, source in SOURCES.items()
    }
    return read_policies(FakeWarehouse({"POLICY_REFERENCES": answer}), sources, at)


def test_a_policy_is_refused_with_source_columns_and_remedy() -> None:
    with pytest.raises(CallerError) as refused:
        asked([MASK, ROWS])
    first, second = str(refused.value).splitlines()
    assert first.startswith(
        "pipeline.yaml:7: sources.orders: masking policy GOV.RULES.HIDE masks AMOUNT of RAW.ORDERS, so features and labels"
    )
    assert "write `policies: allowed` in the source" in first
    assert second.startswith("pipeline.yaml:7: sources.shops: row access policy GOV.RULES.OWN filters the rows of ")
    assert "by REGION, Owner, so features and labels would be computed without the rows that it hides" in second


def test_an_allowed_policy_is_a_note_and_others_stay_refused() -> None:
    notes = asked([MASK, ROWS], allowed=("orders", "shops"))
    assert notes[0] == "sources.orders: masking policy GOV.RULES.HIDE masks AMOUNT of RAW.ORDERS, as allowed"
    assert len(notes) == 2
    with pytest.raises(CallerError, match=r"sources\.shops"):
        asked([MASK, ROWS], allowed=("orders",))


def test_other_kinds_of_policy_are_left_out() -> None:
    assert asked([("orders", "PROJECTION_POLICY", "GOV", "RULES", "P", "AMOUNT", None)]) == ()


def test_a_role_that_may_not_ask_is_a_note_and_a_broken_connection_is_not() -> None:
    (note,) = asked(Unauthorized("Snowflake: Insufficient privileges"))
    assert "is unknown" in note
    assert "Insufficient privileges" in note
    with pytest.raises(TransientError):
        asked(TransientError("try again"))


def test_all_sources_are_one_statement_and_views_are_asked_for_as_views() -> None:
    shown = Table(("name", "kind", "comment"), [("ORDERS", "VIEW", "")])
    warehouse = FakeWarehouse({"SHOW OBJECTS": shown})
    read_policies(warehouse, SOURCES, at)
    (query,) = [text for text in warehouse.texts if "POLICY_REFERENCES" in text]
    assert "REF_ENTITY_NAME => '\"RAW\".\"ORDERS\"', REF_ENTITY_DOMAIN => 'VIEW'" in query
    assert (
        '"LAKE".INFORMATION_SCHEMA.POLICY_REFERENCES(REF_ENTITY_NAME => \'"LAKE"."RAW"."Shops"\', '
        "REF_ENTITY_DOMAIN => 'TABLE'"
    ) in query
    assert isinstance(sqlglot.parse_one(policies_query(SOURCES, ()).text, dialect="snowflake"), exp.Union)
