"""Each row of a spine gets the slices that answer at its time, whatever the history of corrections, late slices and ties."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest

from app.cloud.snowflake import SnowflakeWarehouse
from app.features import store
from app.features.training_set import FeatureSet, Spine, training_query
from app.ports import ColumnType
from app.sql import Statement
from sagemaker_entry.contract import Column, Contract
from tests.support.histories import DELAY, START, VERSION, VIEW, History, history

CONTRACT = Contract((Column("A"),), key=("ID",), label="L")
LABELS = "HISTORIES_LABEL"
LABEL = store.Slice(LABELS, 1, START, START, 1)


@pytest.fixture
def tables(warehouse: SnowflakeWarehouse) -> Iterator[SnowflakeWarehouse]:
    """A warehouse with empty tables of a view and of labels with times of their own."""
    warehouse.run(store.create_view_table(VIEW, {"ID": "NUMBER"}, (ColumnType("A", "number"),), "contract"))
    key = {"ID": "NUMBER", store.ROW_TIME: "TIMESTAMP_NTZ"}
    warehouse.run(store.create_view_table(LABELS, key, (ColumnType("L", "number"),), "contract"))
    yield warehouse
    for name in (VIEW, LABELS):
        warehouse.run(Statement(f"DROP TABLE {store.view_table(name).sql}"))


def insert(warehouse: SnowflakeWarehouse, view: str, names: str, rows: Sequence[tuple[object, ...]]) -> None:
    kinds = {datetime: "TIMESTAMP_NTZ", int: "NUMBER", str: "VARCHAR"}
    values = ", ".join(f"f.VALUE[{index}]::{kinds[type(value)]}" for index, value in enumerate(rows[0]))
    table = store.view_table(view).sql
    warehouse.run(
        Statement(
            f"INSERT INTO {table} ({names}, CREATED_AT) SELECT {values}, '{START}' "
            "FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f",
            (json.dumps(rows, default=str),),
        )
    )


def check(
    warehouse: SnowflakeWarehouse, histories: Sequence[History], ttl: timedelta | None, as_available: bool
) -> int:
    """Compare the training set with the rule, row by row. Returns the number of rows."""
    for view in (VIEW, LABELS):
        warehouse.run(Statement(f"TRUNCATE TABLE {store.view_table(view).sql}"))
    slices = [part for each in histories for part in each.rows]
    features = [
        (entity, part.as_of, VERSION, part.known_at, value)
        for each in histories
        for part, rows in each.rows.items()
        for entity, value in rows.items()
    ]
    insert(warehouse, VIEW, "ID, AS_OF, FEATURE_VERSION, KNOWN_AT, A", features)
    spine = [(entity, when) for each in histories for entity, when in each.spine]
    labels = [(entity, when, START, 1, START, number) for number, (entity, when) in enumerate(spine)]
    insert(warehouse, LABELS, "ID, ROW_TIME, AS_OF, FEATURE_VERSION, KNOWN_AT, L", labels)
    chosen = FeatureSet(
        CONTRACT.to_dict(), {VIEW: ("A",)}, (), LABELS, (*slices, LABEL), (), START,
        spine=Spine({} if ttl is None else {VIEW: ttl.total_seconds()}, {VIEW: DELAY.total_seconds()}, as_available),
    )  # fmt: skip
    found = sorted(warehouse.run(Statement(training_query(chosen))).rows, key=lambda row: float(row[2]))
    expected = [
        (entity, when, number, answer)
        for number, (entity, when, answer) in enumerate(
            (entity, when, each.answer(entity, when, ttl, as_available))
            for each in histories
            for entity, when in each.spine
        )
    ]
    assert [tuple(row) for row in found] == expected
    return len(found)


def drawn(seed: int, count: int) -> list[History]:
    random = Random(seed)
    return [history(random, number) for number in range(count)]


@pytest.mark.parametrize("as_available", [False, True], ids=["as known now", "as available then"])
@pytest.mark.parametrize("ttl", [None, timedelta(days=5)], ids=["no ttl", "ttl"])
def test_a_training_set_is_correct_at_each_rows_time(
    tables: SnowflakeWarehouse, ttl: timedelta | None, as_available: bool
) -> None:
    assert check(tables, drawn(7, 60), ttl, as_available) > 200


@pytest.mark.slow
def test_ten_thousand_histories_give_the_rows_of_the_rule(tables: SnowflakeWarehouse) -> None:
    rows = 0
    for seed in range(50):
        ttl = [None, timedelta(days=5), timedelta(hours=36)][seed % 3]
        rows += check(tables, drawn(seed, 200), ttl, as_available=seed % 2 == 1)
    assert rows > 40_000


def test_rows_of_two_views_with_keys_that_only_together_are_unique_are_not_mixed(tables: SnowflakeWarehouse) -> None:
    """Keys are compared column by column: ("1", "23") and ("12", "3") are two entities."""
    key = {"A_ID": "VARCHAR", "B_ID": "VARCHAR"}
    tables.run(store.create_view_table("PAIRS", key, (ColumnType("A", "number"),), "contract"))
    tables.run(
        store.create_view_table(
            "PAIRS_LABEL", {**key, store.ROW_TIME: "TIMESTAMP_NTZ"}, (ColumnType("L", "number"),), "c"
        )
    )
    try:
        named = "AS_OF, FEATURE_VERSION, KNOWN_AT"
        insert(
            tables,
            "PAIRS",
            f"A_ID, B_ID, {named}, A",
            [("1", "23", START, 1, START, 5), ("12", "3", START, 1, START, 7)],
        )
        insert(tables, "PAIRS_LABEL", f"A_ID, B_ID, ROW_TIME, {named}, L", [("12", "3", START, START, 1, START, 1)])
        parts = tuple(store.Slice(view, 1, START, START, 1) for view in ("PAIRS", "PAIRS_LABEL"))
        contract = replace(CONTRACT, key=("A_ID", "B_ID"))
        chosen = FeatureSet(contract.to_dict(), {"PAIRS": ("A",)}, (), "PAIRS_LABEL", parts, (), START, spine=Spine())
        assert tables.run(Statement(training_query(chosen))).rows == [("12", "3", START, 1.0, 7.0)]
    finally:
        for name in ("PAIRS", "PAIRS_LABEL"):
            tables.run(Statement(f"DROP TABLE {store.view_table(name).sql}"))
