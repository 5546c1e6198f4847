"""Slices over a range of dates: which, in which groups, and what a kill loses."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app import spec
from app.errors import CallerError, TransientError
from app.features.store import SLICES_PER_STATEMENT
from app.features.upkeep.backfill import BackfillPlan, backfill_run, plan_backfill, run_backfill, times_between
from app.ports import Table
from app.runs.identity import now
from app.sql import Statement
from tests.support.fakes import FakeWarehouse, changing_sources, counted_slices
from tests.unit import churn
from tests.unit.snapshot import snapshot
from tests.unit.test_features import COUNTED, watching

FIRST, WEEK = datetime(1997, 1, 1), timedelta(days=7)
TIMES = tuple(FIRST + WEEK * step for step in range(70))


def test_the_times_of_a_range_include_its_end() -> None:
    found = times_between(churn.PIPELINE, FIRST, FIRST + 2 * WEEK, WEEK)
    assert found == TIMES[:3]
    assert times_between(churn.PIPELINE, FIRST, FIRST + 2 * WEEK - timedelta(days=1), WEEK) == TIMES[:2]


@pytest.mark.parametrize(
    ("last", "every", "said"),
    [
        (FIRST - WEEK, WEEK, "--to 1996-12-25 is before --from 1997-01-01"),
        (now() + WEEK, WEEK, "is in the future"),
        (datetime(2020, 1, 1), timedelta(hours=1), "as-of times, and a backfill takes at most 2,000"),
    ],
)
def test_a_range_that_cannot_be_computed_is_refused(last: datetime, every: timedelta, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        times_between(churn.PIPELINE, FIRST, last, every)


def test_a_source_without_time_has_no_history(tmp_path: Any) -> None:
    with pytest.raises(CallerError, match=r"sources\.telco has no event_time"):
        times_between(spec.load(snapshot(tmp_path)).pipeline, FIRST, FIRST, WEEK)


def planned() -> tuple[FakeWarehouse, BackfillPlan]:
    warehouse = watching(**{COUNTED: counted_slices(TIMES, 9, 9)})
    return warehouse, plan_backfill(warehouse, churn.FILE, TIMES)


def test_each_group_of_dates_is_written_and_recorded_before_the_next() -> None:
    warehouse, plan = planned()
    assert (plan.missing, plan.found) == (140, 0)
    warehouse.statements.clear()
    warehouse.answers["ROW_HASH"] = unchanged(plan)
    groups: list[int] = []
    done = run_backfill(plan, warehouse, churn.RUN, churn.PIPELINE.sources, done=groups.append)
    assert (done.computed, done.found, done.times) == (140, 0, 70)
    assert groups == [2 * SLICES_PER_STATEMENT, 2 * SLICES_PER_STATEMENT, 12]
    written = re.findall(r"MERGE INTO \"FEATURE_STORE\"\.\"(\w+)\"", "\n".join(warehouse.texts))
    group = ["CUSTOMER_ORDERS", "CUSTOMER_RHYTHM", "FEATURE_LINEAGE"]
    assert written == [*group * 3, "FEATURE_VIEWS"]
    # The table is created once; leftovers of a killed attempt are removed from it before later groups.
    assert (
        sum(text.startswith('CREATE TABLE IF NOT EXISTS "FEATURE_STORE"."CUSTOMER_ORDERS"') for text in warehouse.texts)
        == 1
    )
    assert not any("CHURN_LABEL" in text for text in warehouse.texts)


def test_a_group_whose_sources_changed_is_not_recorded() -> None:
    warehouse, plan = planned()
    warehouse.statements.clear()
    with pytest.raises(TransientError, match="finished slices are kept"):
        run_backfill(plan, warehouse, churn.RUN, churn.PIPELINE.sources)
    assert not any('MERGE INTO "FEATURE_STORE"."FEATURE_LINEAGE"' in text for text in warehouse.texts)


def test_the_same_backfill_is_the_same_run() -> None:
    _, plan = planned()
    run = backfill_run(churn.FILE, plan)
    assert re.fullmatch(r"backfill-[0-9a-f]{8}", run.id)
    assert backfill_run(churn.FILE, plan).id == run.id
    assert backfill_run(churn.FILE, replace(plan, times=plan.times[1:])).id != run.id
    assert backfill_run(churn.FILE, replace(plan, sources_sha256="other")).id != run.id


def unchanged(plan: BackfillPlan) -> Any:
    """The state of the sources as it was planned, at whatever time is asked."""
    before = changing_sources("orders")
    whole = before(Statement("WHEN EVENT_TIME <" * len(TIMES))).rows

    def answer(statement: Statement) -> Table:
        cut = datetime.fromisoformat(re.findall(r"EVENT_TIME < '([^']+)'", statement.text)[-1])
        return Table((), [(row[0], 0, *row[2:]) for row in whole[: TIMES.index(cut) + 1]])

    return answer
