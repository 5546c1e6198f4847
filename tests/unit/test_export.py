"""An unload: the data checks before it, the verification of its files, and the manifest at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError, PermanentError
from app.export.manifest import Export, ExportedFile
from app.export.plan import UnloadPlan, judge_check, plan_export, plan_unload
from app.export.run import find_export, run_export
from app.features.training_set import scoring_query
from app.ports import Table
from app.sql import Name, Statement
from localcloud.snowflake.objects.stages.syntax import CopyIntoLocation
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeStore, FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

STAGE = Name.parse("SNOWSAGE.ML.LAKE")
SMALL = Contract((Column("A"), Column("C", "category", ("web", "it's"))), key=("ID",), label="L")


def small(label: str | None = "L", two_classes: bool = True) -> UnloadPlan:
    return plan_unload("SELECT 1", SMALL, churn.RUN, "export", "lake", STAGE, label, two_classes)


#: Counts: rows, distinct rows; values and classes of the label; values of A; values of C, and those outside its categories.
GOOD = (100, 100, 100, 2, 90, 95, 0)


def test_valid_counts_return_the_number_of_rows() -> None:
    assert judge_check(small(), GOOD) == 100
    assert judge_check(small(label=None), (100, 100, 90, 95, 0)) == 100


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (1, 98, "100 rows but 98 distinct (ID, AS_OF)"),
        (2, 97, "the label L is NULL in 3 rows"),
        (
            3,
            1,
            "the label L has 1 class over 100 rows, two are needed; check its definition, its horizon and the logical date",
        ),
        (3, 7, "the label L has 7 classes over 100 rows, two are needed"),
        (4, 0, "every value of A is NULL; correct its definition or leave it out"),
        (5, 0, "every value of C is NULL"),
        (6, 12, "C has 12 values outside its declared categories; add them to the view's categories"),
    ],
)
def test_a_fault_is_reported(at: int, value: int, said: str) -> None:
    with pytest.raises(CallerError) as caught:
        judge_check(small(), (*GOOD[:at], value, *GOOD[at + 1 :]))
    assert str(caught.value).startswith(f"the data cannot be used: {said}")


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(CallerError) as caught:
        judge_check(small(), (2_000, 1_998, 1_997, 1, 0, 0, 5))
    assert str(caught.value).count(";") >= 5
    assert "2,000 rows but 1,998 distinct" in str(caught.value)


def test_a_regression_may_have_any_number_of_label_values() -> None:
    assert judge_check(small(two_classes=False), (100, 100, 100, 57, 90, 95, 0)) == 100


def test_an_empty_training_set_is_reported_first() -> None:
    with pytest.raises(CallerError, match="there are no rows: no entity has both features and a label"):
        judge_check(small(), (0,) * 7)


def test_a_feature_may_be_null_in_all_rows_to_score() -> None:
    assert judge_check(small(label=None), (100, 100, 0, 0, 0)) == 100
    with pytest.raises(CallerError, match="there are no rows: no entity has features"):
        judge_check(small(label=None), (0,) * 5)


def test_the_check_passes_categories_as_binds() -> None:
    check = small().check
    assert check.binds == ("web", "it's")
    assert check.text.startswith(
        'SELECT COUNT(*), COUNT(DISTINCT "ID", "AS_OF"), COUNT("L"), COUNT(DISTINCT "L"), COUNT("A"), COUNT("C"), '
        'COUNT_IF("C" NOT IN (?, ?))\nFROM (\nSELECT 1\n)'
    )


@given(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), *[st.integers(0, 10**6)] * 5),
)
def test_the_check_accepts_exactly_the_valid_counts(counts: tuple[int, ...]) -> None:
    rows, distinct, labelled, classes, a, c, strange = counts
    good = rows == distinct and labelled >= rows and classes == 2 and a and c and not strange
    if good:
        assert judge_check(small(), counts) == rows
    else:
        with pytest.raises(CallerError):
            judge_check(small(), counts)


def test_the_unload_statement_of_the_training_set() -> None:
    plan = plan_export(churn.feature_set(), churn.RUN, "lake", STAGE, classification=True)
    assert (plan.uri, plan.label) == ("s3://lake/churn/19980701-0a1b2c3d/export/", "CHURNED")
    copy = read(plan.copy.text)
    assert isinstance(copy, CopyIntoLocation)
    assert str(copy.location.stage) == "SNOWSAGE.ML.LAKE"
    assert f"s3://lake/{copy.location.path}" == plan.data_uri
    assert (copy.header, copy.detailed_output, copy.overwrite) == (True, True, False)
    assert plan_export(churn.feature_set(), churn.RUN, "lake", STAGE, classification=False).two_classes is False


def test_a_manifest_is_unchanged_by_a_round_trip() -> None:
    export = Export("s3://lake/x/", SMALL.to_dict(), 7, (ExportedFile("data/a.parquet", 7, 99),), ("ID", "AS_OF"))
    back = Export.from_json(export.to_json())
    assert back.made_contract() == SMALL
    assert replace(back, contract=export.contract) == export
    assert back.to_json() == export.to_json()


class UnloadingWarehouse(FakeWarehouse):
    """Runs COPY INTO by writing ``files`` (name -> rows) to the store, except the ``lost`` ones."""

    def __init__(self, store: FakeStore, plan: UnloadPlan, files: dict[str, int], rows: int, lost: str = "") -> None:
        super().__init__({"SELECT COUNT(*)": [(rows, rows, rows, 2, rows, rows, 0)], "COPY INTO": self._unload})
        self._store, self._plan, self._files, self._lost = store, plan, files, lost

    def _unload(self, statement: Statement) -> Table:
        for name in self._files:
            if name != self._lost:
                self._store.objects[f"{self._plan.data_uri}{name}"] = b"PAR1" * 3
        rows = [(f"data/{name}", 12, count) for name, count in self._files.items()]
        return Table(("FILE_NAME", "FILE_SIZE", "ROW_COUNT"), rows)


def test_the_manifest_is_written_last_and_lists_the_stored_files() -> None:
    plan, store = small(), FakeStore({f"{small().uri}data/left-over.parquet": b"x"})
    warehouse = UnloadingWarehouse(store, plan, {"b.parquet": 40, "a.parquet": 60}, 100)
    export = run_export(plan, warehouse, store)
    assert store.writes == [f"{plan.uri}manifest.json"]
    assert [(file.name, file.rows, file.size_bytes) for file in export.files] == [
        ("data/a.parquet", 60, 12),
        ("data/b.parquet", 40, 12),
    ]
    assert (export.rows, export.sort_key, export.made_contract()) == (100, ("ID", "AS_OF"), SMALL)
    assert Export.from_json(store.objects[f"{plan.uri}manifest.json"]).files == export.files


def test_a_finished_unload_is_found_without_a_statement() -> None:
    plan, store = small(), FakeStore()
    first = run_export(plan, UnloadingWarehouse(store, plan, {"a.parquet": 100}, 100), store)
    idle = FakeWarehouse()
    again = run_export(plan, idle, store)
    assert (again.files, again.rows, again.made_contract()) == (first.files, first.rows, first.made_contract())
    assert (idle.statements, store.writes) == ([], [f"{plan.uri}manifest.json"])


def test_an_unload_of_another_contract_is_not_found() -> None:
    plan, store = small(), FakeStore()
    run_export(plan, UnloadingWarehouse(store, plan, {"a.parquet": 100}, 100), store)
    other = replace(plan, contract=replace(SMALL, columns=SMALL.columns[:1]))
    assert find_export(store, plan) is not None
    assert find_export(store, other) is None


@pytest.mark.parametrize(
    ("files", "lost"),
    [({"a.parquet": 99}, ""), ({"a.parquet": 60, "b.parquet": 40}, "b.parquet"), ({}, ""), ({"a.parquet": 101}, "")],
)
def test_an_unload_with_missing_files_or_rows_writes_no_manifest(files: dict[str, int], lost: str) -> None:
    plan, store = small(), FakeStore()
    with pytest.raises(
        PermanentError,
        match=r"(the query had 100: the data changed meanwhile|which did not arrive at .*); run it again",
    ):
        run_export(plan, UnloadingWarehouse(store, plan, files, 100, lost), store)
    assert store.writes == []


def test_files_of_a_killed_runs_unload_are_not_listed() -> None:
    plan = small()

    class Busy(FakeStore):
        def delete_below(self, prefix_uri: str) -> None:
            super().delete_below(prefix_uri)
            self.objects[f"{plan.data_uri}foreign.parquet"] = b"x"

    store = Busy()
    export = run_export(plan, UnloadingWarehouse(store, plan, {"a.parquet": 100}, 100), store)
    assert [file.name for file in export.files] == ["data/a.parquet"]


def test_invalid_data_is_not_unloaded() -> None:
    plan, store = small(), FakeStore()
    warehouse = FakeWarehouse({"SELECT COUNT(*)": [(100, 98, 100, 2, 1, 1, 0)]})
    with pytest.raises(CallerError, match="the data cannot be used"):
        run_export(plan, warehouse, store)
    assert not [text for text in warehouse.texts if text.startswith("COPY")]


def test_rows_to_score_are_checked_without_a_label() -> None:
    plan = plan_unload(scoring_query(churn.feature_set()), churn.CONTRACT, churn.RUN, "batch/features", "lake", STAGE)
    assert plan.label is None
    assert '"CHURNED"' not in plan.check.text + plan.copy.text
