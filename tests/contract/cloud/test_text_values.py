"""The values of text columns in Snowflake: those of training rows, from a view's query and from the store alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import chain

from app.cloud.snowflake import SnowflakeWarehouse
from app.features import store
from app.features.definitions.categories import TextValues
from app.features.definitions.text_values import read_values
from app.features.plan import ViewPlan
from app.features.store import Slice, SlicePlan
from app.ports import ColumnType
from app.sql import Statement
from tests.unit import churn

VIEW = churn.PIPELINE.features[0].view
COLUMNS = (ColumnType("CHANNEL", "text"), ColumnType("NOTE", "text"))
#: Those of training, and the logical date. Five of them belong to the training part.
TIMES = (*churn.PIPELINE.training_times(churn.RUN.as_of), churn.RUN.as_of)
KNOWN_AT = datetime(1998, 7, 1, 6, 30)


def query(nth: int) -> str:
    """Two customers; after the training part there is a new channel. Each row has a note of its own, so that there are many."""
    channel = "kiosk" if nth > 4 else "it's" if nth else ""
    return (
        f"SELECT column1 AS CUSTOMER_ID, column2::VARCHAR AS CHANNEL, column3::VARCHAR AS NOTE FROM VALUES "
        f"(1, '{channel.replace(chr(39), chr(39) * 2)}', 'note {nth:02d} a'), (2, NULL, 'note {nth:02d} b'), (3, 'web', NULL)"
    )


def planned(*stored: Slice) -> ViewPlan:
    known = {part.as_of for part in stored}
    missing = (SlicePlan(VIEW, 1, at, query(nth), "d", "s", "{}") for nth, at in enumerate(TIMES) if at not in known)
    create = store.create_view_table(VIEW, {"CUSTOMER_ID": "NUMBER"}, COLUMNS, "churn")
    return ViewPlan(VIEW, ("CUSTOMER_ID",), COLUMNS, create, stored, tuple(missing))


def labelled(customers: str) -> ViewPlan:
    """A label that is known for some customers, whose key is a text."""
    queries = (f"SELECT column1::VARCHAR AS CUSTOMER_ID, 1 AS CHURNED FROM VALUES {customers}" for _ in TIMES)
    missing = tuple(
        SlicePlan("CHURN_LABEL", 1, at, text, "d", "s", "{}") for at, text in zip(TIMES, queries, strict=True)
    )
    return replace(planned(), view="CHURN_LABEL", columns=(ColumnType("CHURNED", "number"),), missing=missing)


def test_values_of_the_training_times_are_read_from_queries_and_from_the_store(warehouse: SnowflakeWarehouse) -> None:
    view = churn.PIPELINE.features[0].model_copy(update={"categories_limit": 3})
    pipeline = churn.PIPELINE.model_copy(update={"features": (view,)})
    label = labelled("(1)")
    found = read_values(warehouse, pipeline, (planned(),), label)
    notes = found.pop((VIEW, "NOTE"))
    assert found == {(VIEW, "CHANNEL"): TextValues(("", "it's", "web"), 3)}
    assert notes.values == ("note 00 a", "note 00 b", "note 01 a", "note 01 b")
    assert notes.count > 4
    table = store.view_table("CONTRACT_TEXTS")
    kept = replace(planned(), view="CONTRACT_TEXTS")
    try:
        warehouse.run(store.create_view_table("CONTRACT_TEXTS", {"CUSTOMER_ID": "NUMBER"}, COLUMNS, "churn"))
        parts = tuple(replace(part, view="CONTRACT_TEXTS") for part in kept.missing)
        warehouse.run(store.write_slices(parts, kept.key, ("CHANNEL", "NOTE"), KNOWN_AT, KNOWN_AT))
        of_store = pipeline.model_copy(update={"features": (view.model_copy(update={"view": "CONTRACT_TEXTS"}),)})
        half = tuple(Slice("CONTRACT_TEXTS", 1, at, KNOWN_AT, 3) for at in TIMES[::2])
        some = replace(kept, found=half, missing=parts[1::2])
        whole = replace(kept, found=tuple(Slice("CONTRACT_TEXTS", 1, at, KNOWN_AT, 3) for at in TIMES), missing=())
        for plan in (some, whole):
            again = read_values(warehouse, of_store, (plan,), label)
            assert list(chain(again.values())) == [*found.values(), notes]
    finally:
        warehouse.run(Statement(f"DROP TABLE IF EXISTS {table.sql}"))


def test_values_of_a_snapshot_are_those_of_rows_with_a_label(warehouse: SnowflakeWarehouse) -> None:
    training, label_of = churn.PIPELINE.training, churn.PIPELINE.label
    split = training.split.model_copy(update={"by": "hash"})
    pipeline = churn.PIPELINE.model_copy(
        update={
            "features": churn.PIPELINE.features[:1],
            "training": training.model_copy(update={"split": split}),
            "label": label_of.model_copy(update={"horizon": None, "as_of": None}),
        }
    )
    views, label = replace(planned(), missing=planned().missing[-1:]), labelled("(2), (3)")
    found = read_values(warehouse, pipeline, (views,), replace(label, missing=label.missing[-1:]))
    assert found[VIEW, "CHANNEL"] == TextValues(("web",), 1), "kiosk is the channel of a customer without a label"
    assert found[VIEW, "NOTE"] == TextValues(("note 12 b",), 1)
