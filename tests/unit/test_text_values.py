"""The statements that read the values of text columns: which rows they read, and that one statement reads all views."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlglot import exp

from app import spec
from app.errors import CallerError
from app.features import store
from app.features.definitions.categories import TextValues
from app.features.definitions.text_values import find_values, read_values, text_columns
from app.features.plan import ViewPlan
from app.features.store import Slice, SlicePlan
from app.ports import ColumnType
from app.sql import Statement
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

AS_OF = churn.RUN.as_of
TRAINING = churn.PIPELINE.training_times(AS_OF)
TIMES = (*TRAINING, AS_OF)
KNOWN_AT = datetime(1998, 7, 1)


def planned(view: str, *texts: str, stored: int = 0, key: tuple[str, ...] = ("CUSTOMER_ID",)) -> ViewPlan:
    """A view with text columns. ``stored``: how many of its slices are in the store."""
    columns = tuple(ColumnType(name, "text") for name in texts)
    missing = tuple(
        SlicePlan(view, 1, as_of, f"SELECT * FROM {view}_{TIMES.index(as_of):02d}", "d", "s", "{}")
        for as_of in TIMES[stored:]
    )
    found = tuple(Slice(view, 1, as_of, KNOWN_AT, 5) for as_of in TIMES[:stored])
    return ViewPlan(view, key, columns, Statement("SELECT 1"), found, missing)


LABEL = planned("CHURN_LABEL")


def pipeline(split: dict[str, Any] | None = None, **first: Any) -> spec.Pipeline:
    views = churn.PIPELINE.features
    training = churn.PIPELINE.training
    if split:
        split_by = training.split.model_copy(update=split)
        training = training.model_copy(update={"split": split_by})
    changed = (views[0].model_copy(update=first), views[1])
    return churn.PIPELINE.model_copy(update={"features": changed, "training": training})


def views(stored: int = 0) -> tuple[ViewPlan, ...]:
    return (planned("CUSTOMER_ORDERS", "CHANNEL", "PLAN", stored=stored), planned("CUSTOMER_RHYTHM", "PACE"))


def tables(statement: Statement) -> set[str]:
    """The tables that a statement reads, without its own expressions."""
    tree = read(statement.text)
    own = {item.alias for item in tree.find_all(exp.CTE)}
    return {table.name for table in tree.find_all(exp.Table)} - own - {name.upper() for name in own}


def test_one_statement_reads_the_training_times_of_all_views() -> None:
    [statement] = find_values(pipeline(), views(), LABEL)
    # Twelve times, 30 days apart: two are for testing, one for validation, and gaps of 90 days lie before both.
    used = {int(name[-2:]) for name in tables(statement)}
    assert used == set(range(5))
    assert statement.text.count("CUSTOMER_RHYTHM_01") == 1


def test_a_spine_reads_all_slices_before_the_logical_date() -> None:
    label = churn.PIPELINE.label.model_copy(update={"define": None, "source": "orders"})
    spine = churn.PIPELINE.model_copy(update={"label": label})
    assert spine.has_spine
    [statement] = find_values(spine, views(), planned("CHURN_LABEL"))
    assert {int(name[-2:]) for name in tables(statement)} == set(range(len(TRAINING)))


def test_a_column_is_read_up_to_its_limit() -> None:
    assert [(column.name, column.limit) for column in text_columns(pipeline(), views())] == [
        ("CHANNEL", 100),
        ("PLAN", 100),
        ("PACE", 100),
    ]


def test_a_snapshot_reads_the_rows_that_have_a_label() -> None:
    label = churn.PIPELINE.label.model_copy(update={"horizon": None, "as_of": None})
    snapshot = pipeline({"by": "hash"}).model_copy(update={"label": label})
    assert snapshot.is_snapshot
    labelled = replace(LABEL, missing=LABEL.missing[-1:])
    first = (replace(views()[0], missing=views()[0].missing[-1:]),)
    [statement] = find_values(snapshot, first, labelled)
    assert tables(statement) == {"CUSTOMER_ORDERS_12", "CHURN_LABEL_12"}
    assert (
        'EXISTS (SELECT 1 FROM l WHERE CAST(l."CUSTOMER_ID" AS NUMBER) = CAST(v0."CUSTOMER_ID" AS NUMBER))'
        in statement.text
    )


def test_slices_of_the_store_are_read_there() -> None:
    [statement] = find_values(pipeline(), views(stored=1), LABEL)
    assert "CUSTOMER_ORDERS" in tables(statement)
    assert "CUSTOMER_ORDERS_00" not in tables(statement)
    assert "CUSTOMER_ORDERS_01" in tables(statement)


def test_listed_columns_are_not_read_and_no_text_costs_no_statement() -> None:
    listed = pipeline(categories={"CHANNEL": ("web",), "PLAN": ()}, categories_limit=7)
    assert [(column.name, column.limit) for column in text_columns(listed, views())] == [("PLAN", 7), ("PACE", 100)]
    [statement] = find_values(listed, views(), LABEL)
    assert '"CHANNEL"' not in statement.text
    assert "<= 8)" in statement.text
    warehouse = FakeWarehouse()
    assert read_values(warehouse, churn.PIPELINE, (planned("CUSTOMER_ORDERS"),), LABEL) == {}
    assert warehouse.statements == []


def test_queries_longer_than_a_statement_are_read_by_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "STATEMENT_CHARACTERS", 200)
    statements = list(find_values(pipeline(), views(), LABEL))
    assert len(statements) > 2
    [whole] = [tables(statement) for statement in _unlimited(monkeypatch)]
    assert set().union(*map(tables, statements)) == whole
    answers = iter([[(0, "web", 1)], [(0, "store", 2), (0, "web", 2)]])
    warehouse = FakeWarehouse({"TEXT_COLUMN": lambda _: FakeWarehouse({"": next(answers, [])}).run(Statement(""))})
    monkeypatch.setattr(store, "STATEMENT_CHARACTERS", 200)
    found = read_values(warehouse, pipeline(), views(), LABEL)
    assert found["CUSTOMER_ORDERS", "CHANNEL"] == TextValues(("store", "web"), 2)
    assert found["CUSTOMER_RHYTHM", "PACE"] == TextValues((), 0)


def _unlimited(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    monkeypatch.setattr(store, "STATEMENT_CHARACTERS", 600_000)
    return list(find_values(pipeline(), views(), LABEL))


def test_values_that_cannot_be_read_name_their_columns() -> None:
    with pytest.raises(
        CallerError, match=r"the text columns CUSTOMER_ORDERS\.CHANNEL, .* cannot be read: Division by zero"
    ):
        read_values(FakeWarehouse({"TEXT_COLUMN": CallerError("Division by zero")}), pipeline(), views(), LABEL)
