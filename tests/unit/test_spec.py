"""The pipeline file: the example is valid, and each error is reported with file, line, key and a correction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from app import spec
from app.errors import CallerError
from tests.unit import churn

Changed = Callable[..., Path]


def refusal(folder: Path) -> str:
    """The error message of ``load``, without the folder's name."""
    with pytest.raises(CallerError) as caught:
        spec.load(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_example_loads() -> None:
    file = spec.load(churn.FOLDER)
    pipeline = file.pipeline
    assert file.not_yet == ()
    assert (pipeline.name, pipeline.logical_date, pipeline.key) == ("churn", date(1998, 7, 1), ("CUSTOMER_ID",))
    assert pipeline.entity == {"CUSTOMER_ID": "NUMBER"}
    assert [(view.view, view.define) for view in pipeline.features] == [
        ("CUSTOMER_ORDERS", "features.py:customer_orders"),
        ("CUSTOMER_RHYTHM", "rhythm.sql"),
    ]
    assert (pipeline.label.horizon, pipeline.label.as_of.every) == (timedelta(days=90), timedelta(days=30))
    assert pipeline.training.objective == "binary:logistic"
    assert pipeline.batch.labels == ("STAYS", "CHURNS")


def test_a_loaded_pipeline_is_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        churn.PIPELINE.name = "other"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("training:\n", "trainning:\n", "20: trainning: unknown key; did you mean training?", id="near miss"),
        pytest.param(
            "estimator: xgboost", "estimater: xgboost", "21: training.estimater: unknown key; did you mean estimator?",
            id="nested near miss",
        ),
        pytest.param(
            "estimator: xgboost", "qqqq: 1",
            "21: training.qqqq: unknown key; known keys are estimator, hyperparameters, tune, split, backend, instance, "
            "max_runtime, gate",
            id="unknown key",
        ),
        pytest.param(
            "every: 30 days", "evry: 30 days", "18: label.as_of.evry: unknown key; did you mean every?", id="in a list on one line"
        ),
        pytest.param(
            "version: 1, define: rhythm.sql", "verson: 1, define: rhythm.sql",
            "12: features.1.verson: unknown key; did you mean version?", id="in a list",
        ),
        pytest.param(
            "count: 1", "count: one", "25: training.instance.count: this should be a valid integer, unable to parse string "
            "as an integer; write, for example, `1`", id="type",
        ),
        pytest.param(
            "last: 12", "last: two", "18: label.as_of.last: this should be a valid integer", id="type with example"
        ),
        pytest.param(
            "version: 1, define: rhythm.sql", "version: 0, define: rhythm.sql",
            "12: features.1.version: this should be greater than or equal to 1; write, for example, `1`", id="range",
        ),
        pytest.param(
            "{customer_id: NUMBER}", "{customer_id: NUMBR}",
            "5: entity.customer_id: this should be 'NUMBER' or 'VARCHAR'", id="choice",
        ),
        pytest.param("{customer_id: NUMBER}", "{'customer id': NUMBER}", "5: entity.customer id: ", id="key of a mapping"),
        pytest.param(
            "max_depth: 5", "max_depth: [5]",
            "22: training.hyperparameters.max_depth: this must be a single number, text or boolean", id="scalar",
        ),
        pytest.param(
            "  column: CHURNED\n", "", "14: label.column: is missing; write, for example, `column: CHURNED`", id="missing"
        ),
        pytest.param("name: churn", "name: churn\nname: x", "3: name occurs twice", id="twice"),
        pytest.param(
            "test: 0.2}", "test: 0.2, test: 0.3}", "24: training.split.test occurs twice", id="nested key twice"
        ),
        pytest.param("name: churn", "name: [churn", "3: this is not YAML: ", id="not YAML"),
        pytest.param("name: churn", "name: churn\n\t- x", "3: this is not YAML: ", id="tab"),
        pytest.param(
            "horizon: 90 days", "horizon: 3 months",
            "17: label.horizon: a duration is a whole number and a unit: minutes, hours, days or weeks; "
            "write, for example, `90 days`", id="duration",
        ),
        pytest.param("horizon: 90 days", "horizon: 0 days", "17: label.horizon: a duration is", id="zero duration"),
        pytest.param("horizon: 90 days", "horizon: 90", "17: label.horizon: a duration is", id="no unit"),
        pytest.param(
            "table: RAW.ORDERS", "table: RAW.OR DERS",
            "8: sources.orders.table: 'RAW.OR DERS' is not a name in Snowflake: write up to three parts", id="name",
        ),
        pytest.param(
            "event_time: ORDER_DATE", "event_time: RAW.ORDER_DATE",
            "8: sources.orders.event_time: this is a column, write it without schema and table; "
            "write, for example, `ORDER_DATE`", id="column",
        ),
        pytest.param("name: churn", "name: Churn!", "2: name: this String should match pattern", id="model name"),
        pytest.param(
            "last: 12", "last: 6",
            "18: label.as_of.last: 6 as-of times, 30 days apart, leave no training rows once the test and validation parts and "
            "the gaps of one horizon between them are cut; write at least 7", id="too few times",
        ),
        pytest.param(
            "metric: auc", "metric: rmse", "26: training.gate.at_least: less rmse is better; write at_most instead",
            id="lower is better",
        ),
        pytest.param(
            "at_least: 0.75", "at_most: 0.75", "26: training.gate.at_most: more auc is better; write at_least instead",
            id="higher is better",
        ),
        pytest.param(
            "{metric: auc, at_least: 0.75,", "{metric: rmse,",
            "26: training.gate.metric: rmse does not measure binary:logistic; write one of auc, average_precision, logloss",
            id="metric of another objective",
        ),
        pytest.param(
            "binary:logistic", "multi:softmax", "22: training.hyperparameters.objective: multi:softmax is not supported",
            id="objective",
        ),
        pytest.param(
            ", labels: [STAYS, CHURNS]", "",
            "30: batch.threshold: threshold and labels belong together; write both or neither", id="threshold alone",
        ),
        pytest.param("threshold: 0.5, ", "", "30: batch.threshold: threshold and labels belong together", id="labels alone"),
        pytest.param("[STAYS, CHURNS]", "[STAYS]", "30: batch.labels.1: is missing", id="one label"),
        pytest.param(
            "key: CUSTOMER_ID", "key: ID", "28: serving.key: ID is not a column of the entity (CUSTOMER_ID)", id="serving key"
        ),
        pytest.param(
            "view: customer_rhythm", "view: customer_orders", "10: features: the view CUSTOMER_ORDERS occurs twice",
            id="view twice",
        ),
        pytest.param("define: rhythm.sql", "define: rythm.sql", "12: features.1.define: rythm.sql is not a file in", id="no file"),
        pytest.param(
            "define: features.py:churned", "define: lost.py:churned", "15: label.define: lost.py is not a file in",
            id="no label file",
        ),
        pytest.param(
            "define: rhythm.sql", "define: rhythm.R", "12: features.1.define: this String should match pattern",
            id="neither Python nor SQL",
        ),
        pytest.param("estimator: xgboost", "backend: snowpark",
                     "21: training.backend: snowpark is not available yet; write sagemaker", id="snowpark"),
        pytest.param("scorer: endpoint", "on_bad_row: error",
                     "28: serving.on_bad_row: error needs an object; write output: variant, or on_bad_row: null",
                     id="errors in numbers"),
        pytest.param("scorer: endpoint", "reasons: 3", "28: serving.reasons: reasons need an object; write output: variant",
                     id="reasons in numbers"),
        pytest.param("scorer: endpoint", "output: variant, payload: csv, reasons: 3",
                     "28: serving.reasons: the built-in algorithm gives none; leave reasons or payload: csv out",
                     id="reasons of the built-in algorithm"),
        pytest.param("scorer: endpoint", "scorer: embedded, payload: csv",
                     "28: serving.payload: csv is what an endpoint takes, and scorer is embedded; leave payload out",
                     id="csv without endpoint"),
    ],
)  # fmt: skip
def test_an_error_is_reported_with_line_key_and_remedy(changed: Changed, old: str, new: str, said: str) -> None:
    assert any(line.startswith(f"pipeline.yaml:{said}") for line in refusal(changed(old, new)).splitlines())


@pytest.mark.parametrize("word", ["null", "'null'"])
def test_null_is_accepted_as_a_choice(changed: Changed, word: str) -> None:
    serving = spec.load(changed("scorer: endpoint", f"on_bad_row: {word}, absent: {word}")).pipeline.serving
    assert (serving.on_bad_row, serving.absent) == ("null", "null")


def test_the_serving_rules_have_defaults_and_can_be_set(changed: Changed) -> None:
    plain = spec.load(churn.FOLDER).pipeline.serving
    assert (plain.output, plain.reasons, plain.on_bad_row, plain.absent, plain.payload) == (
        "number",
        0,
        "fail",
        None,
        "npy",
    )
    asked = changed("scorer: endpoint", "output: variant, reasons: 3, on_bad_row: error")
    serving = spec.load(asked).pipeline.serving
    assert (serving.output, serving.reasons, serving.on_bad_row) == ("variant", 3, "error")


def test_all_errors_are_reported_at_once(changed: Changed) -> None:
    folder = changed("count: 1", "count: one")
    path = folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("name: churn", "nam: churn"))
    lines = refusal(folder).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["pipeline.yaml:2", "pipeline.yaml:25", "pipeline.yaml:2"]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "42"])
def test_a_file_that_is_no_mapping_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "pipeline.yaml").write_text(text)
    assert refusal(tmp_path) == "pipeline.yaml:1: a pipeline file is a mapping; it begins with `name: ...`"


def test_a_folder_without_a_pipeline_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"has no pipeline\.yaml; a pipeline is a folder with that file"):
        spec.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("min: 1", "min: 2, max: 3", "serving.instance.max: not available yet: the endpoint stays at 2 instances"),
        (
            "monitoring:",
            "schedule: {retrain: 8 days}\nmonitoring:",
            "schedule: not available yet: nothing runs by itself",
        ),
        ("estimator: xgboost", "tune: {max_jobs: 3}", "training.tune: not available yet: the job trains once"),
    ],
)
def test_a_key_without_effect_yet_is_accepted_with_a_note(changed: Changed, old: str, new: str, said: str) -> None:
    (note,) = spec.load(changed(old, new)).not_yet
    assert note.startswith(said)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1 minute", 60), ("15 minutes", 900), ("2 hours", 7200), ("1day", 86400), (" 3 weeks ", 3 * 604800)],
)
def test_durations_are_parsed(changed: Changed, text: str, seconds: int) -> None:
    found = spec.load(changed("gate:", f"max_runtime: '{text}'\n  gate:"))
    assert found.pipeline.training.max_runtime == timedelta(seconds=seconds)


def test_a_regression_may_have_a_gate_with_an_upper_bound(changed: Changed) -> None:
    folder = changed("{metric: auc, at_least: 0.75,", "{metric: mae, at_most: 12,")
    path = folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("binary:logistic", "reg:squarederror"))
    assert spec.load(folder).pipeline.training.gate.at_most == 12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("logical_date: 1998-07-01", "logical_date: 1998-17-01", id="no such month"),
        pytest.param("name: churn", "name: &x [*x]", id="a recursive list"),
        pytest.param("horizon: 90 days", "horizon: 99999999999 days", id="a duration beyond the limit"),
        pytest.param("every: 30 days", "every: 2000000 days", id="times beyond the calendar"),
    ],
)
def test_extreme_values_are_caller_errors(changed: Changed, old: str, new: str) -> None:
    assert refusal(changed(old, new)).startswith("pipeline.yaml:")


def test_a_file_that_is_not_utf8_is_a_caller_error(changed: Changed) -> None:
    folder = changed()
    path = folder / "pipeline.yaml"
    path.write_bytes(path.read_bytes().replace(b"churn", b"ch\xfcrn", 1))
    assert refusal(folder).startswith("pipeline.yaml")


def test_as_of_times_that_cannot_be_split_are_rejected_when_the_file_is_loaded(changed: Changed) -> None:
    folder = changed("validation: 0.1, test: 0.2", "validation: 0.4, test: 0.4")
    path = folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("horizon: 90 days", "horizon: 30 days").replace("last: 12", "last: 4"))
    assert "label.as_of.last: 4 as-of times" in refusal(folder)


@pytest.mark.parametrize("name", ["orders; DROP TABLE x", "my orders", "a-b", "1st"])
def test_the_short_name_of_a_source_must_be_an_identifier(changed: Changed, name: str) -> None:
    assert refusal(changed("  orders: {table", f"  '{name}': {{table")).startswith("pipeline.yaml:8: sources.")


def test_a_name_that_sagemaker_does_not_accept_is_rejected(changed: Changed) -> None:
    assert refusal(changed("name: churn", "name: churn-")).startswith("pipeline.yaml:2: name:")


def test_a_category_that_is_declared_twice_is_rejected(changed: Changed) -> None:
    folder = changed("define: rhythm.sql", "define: rhythm.sql, categories: {CHANNEL: [web, web]}")
    assert refusal(folder).startswith("pipeline.yaml:12: features.1.categories")


@pytest.mark.parametrize("view", ["feature_lineage", "churn_label", "churn_features"])
def test_a_view_with_a_reserved_name_is_rejected(changed: Changed, view: str) -> None:
    assert refusal(changed("view: customer_rhythm", f"view: {view}")).startswith("pipeline.yaml:")
