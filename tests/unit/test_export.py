"""An unload: the data checks before it, the verification of its files, and the manifest at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallerError, PermanentError
from app.export.check import Check, LabelRule, judge_check, make_check
from app.export.manifest import Export, ExportedFile
from app.export.plan import UnloadPlan, plan_export, plan_unload
from app.export.run import find_export, run_export
from app.export.stage import STAGE as EXPORT
from app.features.training_set import scoring_query
from app.ports import Row, Table
from app.runs.stage import Context
from app.sql import Name, Statement
from localcloud.snowflake.objects.stages.syntax import CopyIntoLocation
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeStore, FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

STAGE = Name.parse("SNOWSAGE.ML.LAKE")
SMALL = Contract((Column("A"), Column("C", "category", ("web", "it's"))), key=("ID",), label="L")


TIMES = tuple(datetime(1998, month, 1) for month in range(1, 13))


def rule(objective: str = "binary:logistic") -> LabelRule:
    """A label over twelve months with a horizon of 30 days: the last two are the test part, the one before them validation."""
    training = churn.PIPELINE.training.model_copy(update={"hyperparameters": {"objective": objective}})
    label = churn.PIPELINE.label.model_copy(update={"horizon": timedelta(days=28)})
    return LabelRule("L", churn.PIPELINE.model_copy(update={"training": training, "label": label}))


def checked(objective: str = "binary:logistic") -> Check:
    return make_check("SELECT 1", SMALL, rule(objective))


def to_score(*, unfit_allowed: bool = False) -> Check:
    return make_check("SELECT 1", SMALL, unfit_allowed=unfit_allowed)


def small() -> UnloadPlan:
    return plan_unload("SELECT 1", (checked(),), churn.RUN, "export", "lake", STAGE)


#: Counts of a time: rows, distinct rows; values of the label, those that cannot be learned, the least, the greatest; values of A,
#: those that are too large; values of C, and those outside its categories.
GOOD = (100, 100, 100, 0, 0.0, 1.0, 90, 0, 95, 0)


def counts(changed: dict[int, object] | None = None, times: Sequence[datetime] = TIMES, at: int = 0) -> list[Row]:
    """The counts of all times, those of one of them changed at positions of GOOD."""
    spoilt = tuple((changed or {}).get(position, value) for position, value in enumerate(GOOD))
    return [(time, *(spoilt if index == at else GOOD)) for index, time in enumerate(times)]


def everywhere(changed: dict[int, object]) -> list[Row]:
    return [(time, *(changed.get(position, value) for position, value in enumerate(GOOD))) for time in TIMES]


def refusal(check: Check, found: list[Row]) -> str:
    with pytest.raises(CallerError) as caught:
        judge_check(check, found)
    return str(caught.value)


def test_valid_counts_return_the_number_of_rows() -> None:
    assert judge_check(checked(), counts()) == 1200
    assert judge_check(to_score(), [(TIMES[0], 100, 100, 90, 0, 95, 0)]) == 100


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({1: 98}, "1,200 rows but 1,198 distinct (ID, AS_OF)"),
        ({2: 97}, "the label L is NULL in 3 rows; leave out entities without a label"),
        ({3: 7}, "the label L must be 0 or 1 for binary:logistic; it is not in 7 of 1,200 rows"),
        ({7: 1}, "A has 1 value beyond the range of a 32-bit float; bound them in the view"),
        ({9: 12}, "C has 12 values outside its declared categories; add them to the view's categories"),
    ],
)
def test_a_fault_is_reported(changed: dict[int, object], said: str) -> None:
    assert refusal(checked(), counts(changed)).startswith(f"the data cannot be used: {said}")


@pytest.mark.parametrize(("at", "name"), [(6, "A"), (8, "C")])
def test_a_feature_without_a_value_is_reported(at: int, name: str) -> None:
    assert f"every value of {name} is NULL; correct its definition or leave it out" in refusal(
        checked(), everywhere({at: 0})
    )
    judge_check(checked(), counts({at: 0}))  # at one time only


def test_labels_one_and_two_are_reported_before_training() -> None:
    said = refusal(checked(), everywhere({3: 40, 4: 1.0, 5: 2.0}))
    assert (
        said
        == "the data cannot be used: the label L must be 0 or 1 for binary:logistic; it is not in 480 of 1,200 rows"
    )


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ((10, 11), "one class only in the test part (200 rows)"),
        ((9,), "one class only in the validation part (100 rows)"),
    ],
)
def test_a_part_with_one_class_is_reported_before_training(at: tuple[int, ...], said: str) -> None:
    found = [row if index not in at else (*row[:5], 1.0, *row[6:]) for index, row in enumerate(counts())]
    assert said in refusal(checked(), found)


def test_a_label_with_one_class_is_reported() -> None:
    said = refusal(checked(), everywhere({4: 1.0}))
    assert "the label L has one class only in all rows (1,200 rows)" in said
    assert "the label L has one value only" in refusal(checked("reg:squarederror"), everywhere({4: 7.0, 5: 7.0}))


def test_rows_at_too_few_times_are_reported() -> None:
    assert "2 as-of times leave no training rows" in refusal(checked(), counts(times=TIMES[:2]))


def test_all_faults_are_reported_at_once() -> None:
    said = refusal(checked(), counts({1: 98, 2: 97, 3: 2, 7: 3, 9: 5}))
    assert said.count("; ") >= 8
    assert "1,200 rows but 1,198 distinct" in said


def test_a_regression_may_have_any_label_that_its_objective_learns() -> None:
    assert judge_check(checked("reg:squarederror"), counts({5: 57.0})) == 1200
    assert 'ABS("L") >' in checked("reg:squarederror").statement.text
    assert 'OR "L" <= 0' in checked("reg:gamma").statement.text
    assert 'OR "L" < 0 OR "L" > 1' in checked("reg:logistic").statement.text
    assert "must be a finite number greater than 0 for reg:gamma" in refusal(checked("reg:gamma"), counts({3: 1}))


def test_a_label_that_matches_no_entity_is_reported() -> None:
    said = refusal(checked(), [])
    assert said.startswith(
        "there are no rows: no entity has both features and a label at any as-of time; check that the label"
    )


def test_a_feature_may_be_null_in_all_rows_to_score() -> None:
    assert judge_check(to_score(), [(TIMES[0], 100, 100, 0, 0, 0, 0)]) == 100
    assert refusal(to_score(), []).startswith("there are no rows: no entity has features at the logical date")


def test_a_new_category_in_rows_to_score_is_refused_or_allowed_by_the_rule() -> None:
    found: list[Row] = [(TIMES[0], 100, 100, 90, 2, 95, 1)]
    said = refusal(to_score(), found)
    assert said.startswith("the rows to score cannot be used: A has 2 values beyond the range")
    assert (
        "C has 1 value outside its declared categories; add them to the view's categories, or write on_bad_row: null"
        in said
    )
    assert judge_check(to_score(unfit_allowed=True), found) == 100


def test_the_check_passes_categories_as_binds() -> None:
    check = checked().statement
    assert check.binds == ("web", "it's")
    assert check.text == (
        'SELECT "AS_OF", COUNT(*), COUNT(DISTINCT "ID", "AS_OF"), COUNT("L"), COUNT_IF("L" NOT IN (0, 1)), MIN("L"), MAX("L"), '
        'COUNT("A"), COUNT_IF(ABS("A") > 3.4028234663852886e38 AND "A" <> \'NaN\'::FLOAT), COUNT("C"), '
        'COUNT_IF("C" NOT IN (?, ?))\nFROM (\nSELECT 1\n)\nGROUP BY "AS_OF"'
    )
    read(check.text)


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), min_size=12, max_size=12))
def test_the_check_accepts_exactly_the_valid_counts(numbers: list[tuple[int, ...]]) -> None:
    found: list[Row] = [
        (time, rows, rows, labelled, 0, 0.0, 1.0, a, 0, a, strange)
        for time, (rows, labelled, a, strange) in zip(TIMES, numbers, strict=True)
    ]
    rows, labelled, a, strange = (sum(column) for column in zip(*numbers, strict=True))
    if rows and labelled >= rows and a and not strange:
        assert judge_check(checked(), found) == rows
    else:
        with pytest.raises(CallerError):
            judge_check(checked(), found)


def test_the_unload_statement_of_the_training_set() -> None:
    plan = plan_export(churn.PIPELINE, churn.feature_set(), churn.RUN, "lake", STAGE)
    assert plan.uri == "s3://lake/churn/19980701-0a1b2c3d/export/"
    copy = read(plan.copy.text)
    assert isinstance(copy, CopyIntoLocation)
    assert str(copy.location.stage) == "SNOWSAGE.ML.LAKE"
    assert f"s3://lake/{copy.location.path}" == plan.data_uri
    assert (copy.header, copy.detailed_output, copy.overwrite) == (True, True, False)


def test_rows_to_score_are_checked_before_training_if_one_of_them_would_stop_the_batch() -> None:
    training, scoring = plan_export(churn.PIPELINE, churn.feature_set(), churn.RUN, "lake", STAGE).checks
    assert (training.label, scoring.label) == (LabelRule("CHURNED", churn.PIPELINE), None)
    serving = churn.PIPELINE.serving.model_copy(update={"on_bad_row": "null"})
    lenient = churn.PIPELINE.model_copy(update={"serving": serving})
    assert len(plan_export(lenient, churn.feature_set(), churn.RUN, "lake", STAGE).checks) == 1
    # A command that ends before the batch stage trains although an entity cannot be scored.
    assert len(plan_export(churn.PIPELINE, churn.feature_set(), churn.RUN, "lake", STAGE, scored=False).checks) == 1


@pytest.mark.parametrize(("stages", "checks"), [(("export", "train", "deploy"), 1), (("export", "batch"), 2)])
def test_an_unfit_entity_stops_only_a_command_that_scores(stages: tuple[str, ...], checks: int) -> None:
    world: Any = SimpleNamespace(platform=churn.platform())
    at = Context(churn.FILE, churn.RUN, world, results={"features": churn.feature_set()}, stages=stages)
    assert len(EXPORT.plan(at).checks) == checks


def test_a_manifest_is_unchanged_by_a_round_trip() -> None:
    export = Export("s3://lake/x/", SMALL.to_dict(), 7, (ExportedFile("data/a.parquet", 7, 99),), ("ID", "AS_OF"))
    back = Export.from_json(export.to_json())
    assert back.made_contract() == SMALL
    assert replace(back, contract=export.contract) == export
    assert back.to_json() == export.to_json()


class UnloadingWarehouse(FakeWarehouse):
    """Runs COPY INTO by writing ``files`` (name -> rows) to the store, except the ``lost`` ones."""

    def __init__(self, store: FakeStore, plan: UnloadPlan, files: dict[str, int], rows: int, lost: str = "") -> None:
        each = [(time, rows // 10, rows // 10, rows // 10, 0, 0.0, 1.0, 9, 0, 9, 0) for time in TIMES[:10]]
        super().__init__({'SELECT "AS_OF"': each, "COPY INTO": self._unload})
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
    warehouse = FakeWarehouse({'SELECT "AS_OF"': counts({1: 98})})
    with pytest.raises(CallerError, match="the data cannot be used"):
        run_export(plan, warehouse, store)
    assert not [text for text in warehouse.texts if text.startswith("COPY")]


def test_rows_to_score_are_checked_without_a_label() -> None:
    query = scoring_query(churn.feature_set())
    plan = plan_unload(query, (make_check(query, churn.CONTRACT),), churn.RUN, "batch/features", "lake", STAGE)
    assert '"CHURNED"' not in plan.checks[0].statement.text + plan.copy.text
