"""The id of a run, and the statements of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from app.runs.ledger import LEDGER, Ledger
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
        ("psi: 0.2", "psi: 0.25"),
        ("1998-07-01", "1998-07-02"),
    ],
)
def test_the_specification_changes_the_fingerprint(changed: Changed, old: str, new: str) -> None:
    assert definition_fingerprint(spec.load(changed(old, new))) != definition_fingerprint(churn.FILE)


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
    for path in ENTRY.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert definition_fingerprint(churn.FILE, tmp_path) == before
    with (tmp_path / "model.py").open("a") as code:
        code.write("\n")
    assert definition_fingerprint(churn.FILE, tmp_path) != before


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
    Ledger(begun).begin(churn.RUN)
    assert [text.split()[0] for text in begun.texts] == ["CREATE", "SELECT", "MERGE"]
    assert begun.statements[-1].binds[:5] == (churn.RUN.id, "churn", "run", DAY, churn.KNOWN_AT)
    again = FakeWarehouse({"SELECT KNOWN_AT": [(churn.KNOWN_AT,)]})
    Ledger(again).begin(churn.RUN)
    assert [text.split()[0] for text in again.texts] == ["CREATE", "SELECT"]


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
