"""The pipeline over a sample: which sources are copied, by which column, and the names of all that it makes."""

from __future__ import annotations

import pytest

from app.errors import CallerError
from app.features.definitions.sample import draw_sample, one_in, plan_sample
from app.ownership import comment
from app.ports import ColumnType, Table
from app.spec.schema import Source
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

ORDERS = (ColumnType("CUSTOMER_ID", "number"), ColumnType("ORDER_DATE", "time"))
COUNTRIES = (ColumnType("COUNTRY", "text"),)


@pytest.mark.parametrize(
    ("found", "wanted", "share"), [(1000, 100, 8), (1599, 100, 8), (1600, 100, 16), (100, 100, 1), (5, 100, 1)]
)
def test_a_sample_has_at_least_as_many_entities_as_wanted_and_keeps_its_share_as_data_grow(
    found: int, wanted: int, share: int
) -> None:
    assert one_in(found, wanted) == share


def warehouse(**answers: Table) -> FakeWarehouse:
    return FakeWarehouse({"APPROX_COUNT": Table(("N",), [(4000,)]), **answers}, {"RAW": ORDERS})


def test_all_that_a_sample_makes_has_a_name_of_its_own() -> None:
    found = warehouse()
    file, said = draw_sample(found, churn.FILE, 500)
    made = file.pipeline
    assert (made.name, made.sources["orders"].table) == ("churn-sample", "FEATURE_STORE.CHURN_SAMPLE_ORDERS")
    assert [view.view for view in made.features] == ["CUSTOMER_ORDERS_SAMPLE", "CUSTOMER_RHYTHM_SAMPLE"]
    assert (made.serving.function, made.batch.table) == ("PREDICT_CHURN_SAMPLE", "ANALYTICS.CHURN_SCORES_SAMPLE")
    (copied,) = [text for text in found.texts if text.startswith("CREATE")]
    assert 'MOD(ABS(HASH("CUSTOMER_ID")), 8) = 0' in copied
    assert comment("churn-sample", "") in copied
    read(copied)
    assert said == "sample: one in 8 entities by CUSTOMER_ID, copied to FEATURE_STORE.CHURN_SAMPLE_ORDERS"


def test_a_source_without_the_key_is_used_whole() -> None:
    sources = {**churn.PIPELINE.sources, "countries": Source(table="RAW.COUNTRIES")}
    pipeline = churn.PIPELINE.model_copy(update={"sources": sources})
    file = churn.FILE.__class__(pipeline, churn.FILE.folder)
    plan = plan_sample(file, {"orders": ORDERS, "countries": COUNTRIES})
    assert list(plan.tables) == ["orders"]


def test_sources_without_the_entity_cannot_be_sampled() -> None:
    with pytest.raises(CallerError, match="--sample: no source has the column CUSTOMER_ID of the entity"):
        plan_sample(churn.FILE, {"orders": COUNTRIES})


def test_a_name_that_leaves_no_room_for_the_samples_is_refused_before_anything_is_copied() -> None:
    long = churn.PIPELINE.model_copy(update={"name": "customers-of-the-north"})
    found = warehouse()
    with pytest.raises(CallerError, match="customers-of-the-north-sample is too long for a pipeline's name"):
        draw_sample(found, churn.FILE.__class__(long, churn.FILE.folder), 500)
    assert not any(text.startswith("CREATE") for text in found.texts)


def test_a_table_of_someone_else_is_not_replaced_by_a_copy() -> None:
    shown = Table(("name", "kind", "comment"), [("CHURN_SAMPLE_ORDERS", "TABLE", "")])
    found = warehouse(**{"SHOW OBJECTS": shown})
    with pytest.raises(CallerError, match=r"table FEATURE_STORE\.CHURN_SAMPLE_ORDERS exists and no pipeline made it"):
        draw_sample(found, churn.FILE, 500)
    assert not any(text.startswith("CREATE") for text in found.texts)
