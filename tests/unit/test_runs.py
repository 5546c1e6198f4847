"""The id of a run, and the statements of the ledger."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app import spec
from app.errors import NotFound
from app.ports import Table
from app.runs.identity import ENTRY, Run, definition_fingerprint, digest, now, run_id
from app.runs.ledger import LEDGER, Ledger, RecordedRun
from tests.support.fakes import FakeWarehouse
from tests.unit import churn

Changed = Callable[..., Path]
DAY = date(1998, 7, 1)


def test_a_run_id_is_stable() -> None:
    assert run_id(DAY, "definition", "data") == "19980701-3dead55d"


@given(
    st.tuples(st.dates(), st.text(max_size=5), st.text(max_size=5)),
    st.tuples(st.dates(), st.text(max_size=5), st.text(max_size=5)),
)
def test_runs_have_the_same_id_only_if_date_definition_and_data_are_the_same(one: tuple, other: tuple) -> None:
    if "/" not in "".join([*one[1:], *other[1:]]):
        assert (run_id(*one) == run_id(*other)) == (one == other)


def test_the_paths_of_a_run() -> None:
    assert churn.RUN.uri("lake", "train") == "s3://lake/churn/19980701-0a1b2c3d/train/"
    assert churn.RUN.key("batch/features") == "churn/19980701-0a1b2c3d/batch/features/"
    assert churn.RUN.as_of == datetime(1998, 7, 1)


def test_the_same_definition_has_the_same_fingerprint_in_any_folder(changed: Changed) -> None:
    assert definition_fingerprint(spec.load(changed())) == definition_fingerprint(churn.FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_depth: 5", "max_depth: 6"),
        ("last: 12", "last: 13"),
        ("define: rhythm.sql", "ttl: 90 days, define: rhythm.sql"),
    ],
)
def test_the_specification_changes_the_fingerprint(changed: Changed, old: str, new: str) -> None:
    assert definition_fingerprint(spec.load(changed(old, new))) != definition_fingerprint(churn.FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1998-07-01", "1998-07-02"),
        ("at_least: 0.75", "at_least: 0.8"),
        ("metric: auc, at_least: 0.75", "metric: logloss, at_most: 0.5"),
        ("better_than_single_column_by: 0.005", "better_than_mean_by: 0.1, r2_at_least: 0.1"),
        ("ml.m5.xlarge, count: 1, spot: false", "ml.m5.2xlarge, count: 1, spot: true"),
        ("  split: {by: time", "  max_runtime: 2 hours\n  split: {by: time"),
        (", seed: data/orders.parquet", ""),
        ("at_most_below_incumbent: 0.01", "at_most_below_incumbent: 0.02"),
        ("psi: 0.2", "psi: 0.25"),
        ("threshold: 0.5", "threshold: 0.6"),
        ("min: 1", "min: 2"),
        ("version: 1, define: rhythm.sql", "version: 1, owner: growth, description: gaps, define: rhythm.sql"),
    ],
)
def test_settings_that_the_model_does_not_depend_on_keep_the_run(changed: Changed, old: str, new: str) -> None:
    assert definition_fingerprint(spec.load(changed(old, new))) == definition_fingerprint(churn.FILE)


def test_a_comment_in_the_pipeline_file_does_not_change_the_fingerprint(changed: Changed) -> None:
    assert definition_fingerprint(spec.load(changed("name: churn", "name: churn  # a word"))) == definition_fingerprint(
        churn.FILE
    )


@pytest.mark.parametrize("name", ["features.py", "rhythm.sql", "imported.py"])
def test_feature_code_changes_the_fingerprint(changed: Changed, name: str) -> None:
    folder = changed()
    file = spec.load(folder)
    before = definition_fingerprint(file)
    with (folder / name).open("a") as code:
        code.write("\n")
    assert definition_fingerprint(file) != before


def test_data_in_the_folder_does_not_change_the_fingerprint(changed: Changed) -> None:
    folder = changed()
    file = spec.load(folder)
    before = definition_fingerprint(file)
    (folder / "notes.txt").write_text("x")
    assert definition_fingerprint(file) == before


def test_entry_code_changes_the_fingerprint(tmp_path: Path) -> None:
    before = definition_fingerprint(churn.FILE)
    copy = tmp_path / "entry"
    shutil.copytree(ENTRY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert definition_fingerprint(churn.FILE, copy) == before
    with (copy / "forest" / "layout.py").open("a") as code:
        code.write("\n")
    assert definition_fingerprint(churn.FILE, copy) != before


def test_feature_code_in_a_folder_changes_the_fingerprint(changed: Changed) -> None:
    folder = changed("define: rhythm.sql", "define: views/rhythm.sql")
    (folder / "views").mkdir()
    (folder / "rhythm.sql").rename(folder / "views" / "rhythm.sql")
    file = spec.load(folder)
    before = definition_fingerprint(file)
    with (folder / "views" / "rhythm.sql").open("a") as code:
        code.write("\n-- changed")
    assert definition_fingerprint(file) != before


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


def test_a_resumed_run_keeps_its_first_observation_time() -> None:
    warehouse = FakeWarehouse({"SELECT KNOWN_AT": [(churn.KNOWN_AT,)]})
    found = Ledger(warehouse).look_up("churn", DAY, "definition", "data")
    assert found == Run("churn", run_id(DAY, "definition", "data"), DAY, churn.KNOWN_AT)
    assert warehouse.statements[0].binds == (found.id, "run")


@pytest.mark.parametrize("answer", [[], NotFound("no such table")])
def test_a_new_run_has_the_current_time_and_nothing_is_written(answer: object) -> None:
    warehouse = FakeWarehouse({"SELECT KNOWN_AT": answer})
    found = Ledger(warehouse).look_up("churn", DAY, "definition", "data")
    assert timedelta(0) <= now() - found.known_at < timedelta(minutes=1)
    assert [text.split()[0] for text in warehouse.texts] == ["SELECT"]


def test_a_run_is_recorded_once() -> None:
    begun = FakeWarehouse()
    assert Ledger(begun).begin(churn.RUN) == churn.RUN
    assert [text.split()[0] for text in begun.texts] == ["CREATE", "SELECT", "MERGE", "SELECT"]
    assert "WHEN MATCHED" not in begun.texts[2], "the row of an earlier start stays"
    assert begun.statements[2].binds[:5] == (churn.RUN.id, "churn", "run", DAY, churn.KNOWN_AT)
    again = FakeWarehouse({"SELECT KNOWN_AT": [(churn.KNOWN_AT,)]})
    Ledger(again).begin(churn.RUN)
    assert [text.split()[0] for text in again.texts] == ["CREATE", "SELECT"]


def test_of_two_processes_that_start_a_run_the_first_ones_knowledge_time_counts() -> None:
    first = churn.KNOWN_AT - timedelta(seconds=3)
    answers = iter(([], [(first,)]))  # the other process records the run after this one has looked
    warehouse = FakeWarehouse({"SELECT KNOWN_AT": lambda _: Table((), next(answers))})
    assert Ledger(warehouse).begin(churn.RUN) == replace(churn.RUN, known_at=first)


@dataclass(frozen=True)
class Handed:
    at: datetime
    names: tuple[str, ...]
    found: dict[str, float]


HANDED = (
    Handed(datetime(1998, 7, 1, 0, 0, 0, 7), ("a", "b"), {"x": 0.1}),
    churn.feature_set(),
    churn.export(),
    churn.trained(),
    churn.registered(),
)


@pytest.mark.parametrize("value", HANDED, ids=[type(value).__name__ for value in HANDED])
def test_a_stage_result_is_unchanged_by_a_round_trip_through_the_ledger(value: object) -> None:
    warehouse = FakeWarehouse()
    ledger = Ledger(warehouse)
    ledger.record(churn.RUN, "stage", value, 1.5)
    recorded = warehouse.statements[-1]
    assert f"MERGE INTO {LEDGER.sql}" in recorded.text
    assert (recorded.binds[2], recorded.binds[6]) == ("stage", 1.5)
    warehouse.answers["SELECT RESULT"] = Table(("RESULT",), [(recorded.binds[7],)])
    found = ledger.find(churn.RUN, "stage", type(value))
    kind = TypeAdapter(type(value))
    assert kind.dump_python(found, mode="json") == kind.dump_python(value, mode="json")
    assert found is not None


def test_a_stage_that_has_not_finished_is_not_found() -> None:
    assert Ledger(FakeWarehouse()).find(churn.RUN, "train", Handed) is None


def test_runs_are_listed_newest_first_with_their_finished_stages() -> None:
    early, late = datetime(1998, 7, 1, 6), datetime(1998, 7, 8, 6)
    rows = [
        ("b", DAY + timedelta(days=7), late, "run", late),
        ("a", DAY, early, "run", early),
        ("a", DAY, early, "features", early + timedelta(minutes=1)),
        ("a", DAY, early, "export", early + timedelta(minutes=2)),
    ]
    assert Ledger(FakeWarehouse({"WHERE PIPELINE": rows})).runs("churn") == [
        RecordedRun("b", DAY + timedelta(days=7), late, (), late),
        RecordedRun("a", DAY, early, ("features", "export"), early + timedelta(minutes=2)),
    ]
    assert Ledger(FakeWarehouse({"WHERE PIPELINE": NotFound("no table")})).runs("churn") == []
