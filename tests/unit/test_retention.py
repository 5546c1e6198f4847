"""Which slices are removed, and what the store says about them afterwards."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.errors import CallerError, NotFound
from app.features.plan import plan_features
from app.features.upkeep.retention import find_superseded, find_used, plan_prune, remove_slices, run_prune
from app.ports import Table
from app.registry.runs_in_use import runs_in_use
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn
from tests.unit.test_features import TIMES, observed

BEFORE, OLD, NEXT = datetime(1998, 6, 1), datetime(1997, 1, 1), datetime(1998, 1, 1)
SHOWN = Table(
    ("name", "kind", "comment"),
    [
        ("CUSTOMER_ORDERS", "TABLE", "snowsage: pipeline churn; slices"),
        ("CUSTOMER_RHYTHM", "TABLE", "snowsage: pipeline other; slices"),
    ],
)


def superseded(*as_of: datetime) -> list[tuple[Any, ...]]:
    return [("CUSTOMER_ORDERS", 1, time, OLD, 10, NEXT) for time in as_of]


def test_slices_of_own_tables_that_are_not_in_use_are_removed() -> None:
    used = [("CUSTOMER_ORDERS", 1, TIMES[1], OLD)]
    answers = {"SHOW OBJECTS": SHOWN, "LEAD(KNOWN_AT)": superseded(*TIMES[:3]), "WITH chosen": used}
    warehouse = FakeWarehouse(answers)
    plan = plan_prune(warehouse, churn.PIPELINE, BEFORE, {"r1"})
    assert [part.as_of for part in plan.remove] == [TIMES[0], TIMES[2]]
    assert (plan.kept, plan.rows) == (1, 20)
    (asked,) = [item for item in warehouse.statements if "LEAD(" in item.text]
    assert asked.binds == ("CUSTOMER_ORDERS", BEFORE), "the other view's table belongs to another pipeline"
    run_prune(plan, warehouse, churn.KNOWN_AT)
    ((delete, update),) = warehouse.transactions
    assert delete.text.startswith('DELETE FROM "FEATURE_STORE"."CUSTOMER_ORDERS" WHERE (FEATURE_VERSION = ?')
    assert delete.binds == (1, TIMES[0], OLD, 1, TIMES[2], OLD)
    assert update.binds == (churn.KNOWN_AT, "CUSTOMER_ORDERS", *delete.binds)


def test_a_pipeline_without_tables_or_runs_has_nothing_to_remove() -> None:
    assert plan_prune(FakeWarehouse(), churn.PIPELINE, BEFORE, ()).remove == ()
    answers = {"SHOW OBJECTS": SHOWN, "LEAD(KNOWN_AT)": superseded(TIMES[0]), "WITH chosen": NotFound("no runs yet")}
    assert len(plan_prune(FakeWarehouse(answers), churn.PIPELINE, BEFORE, ()).remove) == 1
    assert runs_in_use(FakeWarehouse({"MODEL_REGISTRY": NotFound("no versions yet")})) == set()


def test_many_slices_are_removed_by_several_transactions() -> None:
    times = [OLD + timedelta(days=step) for step in range(450)]
    warehouse = FakeWarehouse({"SHOW OBJECTS": SHOWN, "LEAD(KNOWN_AT)": superseded(*times)})
    run_prune(plan_prune(warehouse, churn.PIPELINE, BEFORE, ()), warehouse, churn.KNOWN_AT)
    assert [len(delete.binds) // 3 for delete, _ in warehouse.transactions] == [200, 200, 50]


def test_the_statements_parse() -> None:
    (part,) = plan_prune(
        FakeWarehouse({"SHOW OBJECTS": SHOWN, "LEAD(KNOWN_AT)": superseded(TIMES[0])}), churn.PIPELINE, BEFORE, ()
    ).remove
    for statement in (
        find_superseded(["V", "W"], BEFORE), find_used(()), find_used(["a", "b"]), *remove_slices("V", [part, part], BEFORE)
    ):  # fmt: skip
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


def test_a_rebuild_says_that_the_slice_was_removed() -> None:
    kept = tuple((as_of, NEXT, 700, "d1", "s", True) for as_of in (*TIMES, churn.RUN.as_of))
    found = observed(finished=kept)
    label = replace(found.label, finished=kept)
    removed = replace(found.views[0], removed=((TIMES[0], OLD, datetime(1998, 3, 1)),))
    views = (removed, replace(found.views[1], finished=kept))
    said = re.escape("its slices of that time were removed at 1998-03-01 00:00:00, because later ones superseded them")
    with pytest.raises(CallerError, match=said):
        plan_features(churn.PIPELINE, replace(found, views=views, label=label), OLD)


def test_training_by_what_was_known_at_each_row_is_refused_after_removals() -> None:
    found = observed()
    removed = replace(found.views[0], removed=((TIMES[0], OLD, datetime(1998, 3, 1)),))
    label = churn.PIPELINE.label.model_copy(update={"known": "row"})
    by_row = churn.PIPELINE.model_copy(update={"label": label})
    with pytest.raises(
        CallerError, match=r"superseded slices were removed, the last at 1998-03-01 .*leave `known: row` out"
    ):
        plan_features(by_row, replace(found, views=(removed, found.views[1])))
