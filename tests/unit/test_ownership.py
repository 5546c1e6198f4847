"""The ownership rule: who made an object, and whether a pipeline may replace it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import CallerError, NotFound
from app.ownership import Existing, Home, claim, claim_folder, comment, find_objects, mark_folder, owner_of, owner_uri
from app.ports import Table
from app.sql import Name, Statement
from tests.support.fakes import FakeStore, FakeWarehouse
from tests.support.statements import read

HOME = Home("churn", "AB12345", "SNOWSAGE")
COLUMNS = ("created_on", "name", "kind", "comment")


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (comment("churn-2", "scores"), "churn-2"),
        ("snowsage: pipeline churn", "churn"),
        ("snowsage: scores of model churn; contract 0a1b2c", "churn"),
        ("", None),
        ("written for pipeline churn", None),
        ("snowsage: pipeline churn_x; a", None),
        ("snowsage: scores of model churn", None),
    ],
)
def test_a_comment_names_its_owner(text: str, owner: str | None) -> None:
    assert owner_of(text) == owner


def test_an_absent_object_and_an_own_one_are_free() -> None:
    assert not claim("churn", None, "x")
    assert not claim("churn", Existing("table T", "churn"), "x")
    assert claim("churn", Existing("table T", None, ours=True), "x")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Existing("table T", "other", ours=True),
            "table T belongs to pipeline other, and pipeline churn would replace it; write x, or remove table T first if other "
            "no longer needs it",
        ),
        (
            Existing("table T", None),
            "table T exists and no pipeline made it, so pipeline churn does not replace it; write x, or remove it first",
        ),
    ],
)
def test_the_refusal_names_the_owner_and_what_to_do(found: Existing, said: str) -> None:
    with pytest.raises(CallerError) as caught:
        claim("churn", found, "write x")
    assert str(caught.value) == said


def listing(*rows: tuple[Any, ...]) -> Table:
    return Table(COLUMNS, list(rows))


def test_objects_are_found_by_one_statement_for_each_schema() -> None:
    warehouse = FakeWarehouse(
        {
            '"A"': listing((None, "V1", "TABLE", "snowsage: pipeline churn; x"), (None, "V9", "TABLE", "")),
            '"B"': listing((None, "T", "VIEW", None)),
            '"C"': NotFound("no such schema"),
        }
    )
    names = [Name.of("A", "V1"), Name.of("A", "V2"), Name.of("B", "T"), Name.of("C", "T")]
    found = find_objects(warehouse, names)
    assert {str(name): (each.kind, owner_of(each.comment)) for name, each in found.items()} == {
        "A.V1": ("TABLE", "churn"),
        "B.T": ("VIEW", None),
    }
    assert warehouse.texts == [
        "SHOW OBJECTS LIKE 'V%' IN SCHEMA \"A\"",
        "SHOW OBJECTS LIKE 'T' IN SCHEMA \"B\"",
        "SHOW OBJECTS LIKE 'T' IN SCHEMA \"C\"",
    ]
    for text in warehouse.texts:
        read(text)
    assert found[Name.of("B", "T")].existing(Name.of("B", "T")).what == "view B.T"


def test_a_schema_with_more_objects_than_one_list_holds_is_asked_for_each() -> None:
    def answer(statement: Statement) -> Table:
        if "%" in statement.text:
            return listing(*[(None, f"V{at}", "TABLE", "") for at in range(10_000)])
        return listing((None, "V_B", "TABLE", "")) if "'V_B'" in statement.text else listing()

    found = find_objects(FakeWarehouse({"SHOW": answer}), [Name.of("A", "V_A"), Name.of("A", "V_B")])
    assert list(found) == [Name.of("A", "V_B")]


def test_a_folder_on_s3_belongs_to_one_pipeline_of_one_database() -> None:
    store = FakeStore()
    assert claim_folder(store, "lake", HOME)
    mark_folder(store, "lake", HOME)
    mark_folder(store, "lake", HOME)
    assert store.writes == [owner_uri("lake", "churn")] == ["s3://lake/churn/owner.json"]
    assert not claim_folder(store, "lake", HOME)
    elsewhere = Home("churn", "AB12345", "OTHER")
    for act in (claim_folder, mark_folder):
        with pytest.raises(
            CallerError, match=r"belongs to pipeline churn in account AB12345, database SNOWSAGE, .* delete"
        ):
            act(store, "lake", elsewhere)


@pytest.mark.parametrize("folder", ["19980701-0a1b2c3d", "serve"])
def test_a_folder_from_before_the_rule_is_adopted(folder: str) -> None:
    assert claim_folder(FakeStore({f"s3://lake/churn/{folder}/x": b""}), "lake", HOME)


def test_a_folder_that_holds_something_else_is_refused() -> None:
    with pytest.raises(
        CallerError, match="s3://lake/churn/ holds objects that no pipeline wrote; give the pipeline another"
    ):
        claim_folder(FakeStore({"s3://lake/churn/photos/x": b""}), "lake", HOME)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", json.dumps({"pipeline": "churn"}).encode()])
def test_a_damaged_owner_is_reported(body: bytes) -> None:
    with pytest.raises(CallerError, match=r"owner\.json is damaged; delete it, and the next run writes it again"):
        claim_folder(FakeStore({owner_uri("lake", "churn"): body}), "lake", HOME)
