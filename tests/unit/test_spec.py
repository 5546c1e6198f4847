"""The pipeline file: the example is valid, and each error is reported with file, line, key and a correction."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from app import spec
from app.errors import CallerError
from app.spec.explanation import Places, explain
from app.spec.schema import Pipeline
from app.spec.values import alias_of, feature_name_fault
from tests.unit import churn
from tests.unit.snapshot import snapshot

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
        pytest.param(
            "define: rhythm.sql", "define: rhythm.sql, entity: [merchant_id]",
            "12: features.1.entity: MERCHANT_ID is not a column of the pipeline's entity (CUSTOMER_ID)",
            id="a key that the entity lacks",
        ),
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
            "count: 1", "count: one", "25: training.instance.count: must be a whole number, not one; "
            "write, for example, `1`", id="type",
        ),
        pytest.param(
            "last: 12", "last: two", "18: label.as_of.last: must be a whole number, not two", id="type with example"
        ),
        pytest.param(
            "version: 1, define: rhythm.sql", "version: 0, define: rhythm.sql",
            "12: features.1.version: must be at least 1, not 0; write, for example, `1`", id="range",
        ),
        pytest.param(
            "{customer_id: NUMBER}", "{customer_id: NUMBR}",
            "5: entity.customer_id: must be 'NUMBER' or 'VARCHAR', not NUMBR", id="choice",
        ),
        pytest.param("{customer_id: NUMBER}", "{'customer id': NUMBER}", "5: entity.customer id: ", id="key of a mapping"),
        pytest.param(
            "max_depth: 5", "max_depth: [5]",
            "22: training.hyperparameters.max_depth: must be a single number, text or boolean", id="scalar",
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
        pytest.param("name: churn", "name: Churn!", "2: name: a pipeline's name is made of lower-case letters", id="model name"),
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
        pytest.param("[STAYS, CHURNS]", "[STAYS]", "30: batch.labels: needs more than 1 value", id="one label"),
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
            "define: rhythm.sql", "define: rhythm.R", "12: features.1.define: rhythm.R is not accepted; write",
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


def test_a_view_may_say_who_answers_for_it_what_it_is_and_how_long_its_slices_are_used(changed: Changed) -> None:
    said = "owner: growth, description: gaps between orders, ttl: 90 days, define: rhythm.sql"
    orders, rhythm = spec.load(changed("define: rhythm.sql", said)).pipeline.features
    assert (orders.owner, orders.description, orders.ttl) == (None, None, None)
    assert (rhythm.owner, rhythm.description, rhythm.ttl) == ("growth", "gaps between orders", timedelta(days=90))


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
    assert [line.partition(": ")[0] for line in lines] == ["pipeline.yaml:25", "pipeline.yaml:2"]


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


def test_several_hyperparameters_are_reported_at_once_with_the_nearest_names(changed: Changed) -> None:
    lines = refusal(changed("max_depth: 5, eta: 0.05", "max_dept: 5, etta: 0.05, booster: gblinear")).splitlines()
    assert [line.partition("; ")[0] for line in lines] == [
        "pipeline.yaml:22: training.hyperparameters.max_dept: XGBoost has no such hyperparameter",
        "pipeline.yaml:22: training.hyperparameters.etta: XGBoost has no such hyperparameter",
        "pipeline.yaml:22: training.hyperparameters.booster: gblinear is not supported: a linear model has no trees, which early "
        "stopping, categories and the report need",
    ]
    assert lines[0].endswith("did you mean max_depth?")


@pytest.mark.parametrize(
    ("written", "categories", "unknown"),
    [
        ("", {}, None),
        (", categories: auto", {}, None),
        (", categories: {CHANNEL: [web], plan: auto}", {"CHANNEL": ("web",), "PLAN": ()}, None),
        (", unknown: null", {}, "null"),
        (", unknown: 'null'", {}, "null"),
        (", unknown: error", {}, "error"),
        (", unknown: {channel: null, PLAN: error}", {}, {"CHANNEL": "null", "PLAN": "error"}),
    ],
)
def test_categories_and_the_rule_for_others(changed: Changed, written: str, categories: Any, unknown: Any) -> None:
    view = spec.load(changed("define: rhythm.sql", f"define: rhythm.sql{written}")).pipeline.features[1]
    assert (view.categories, view.unknown, view.categories_limit) == (categories, unknown, 100)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "categories: automatic",
            "categories: must be auto, or a mapping of columns to auto or to their values; write",
        ),
        (
            "categories: {CHANNEL: some}",
            "categories.CHANNEL: must be auto, or a list of at least one value, each of them once",
        ),
        (
            "categories: {CHANNEL: []}",
            "categories.CHANNEL: must be auto, or a list of at least one value, each of them once",
        ),
        ("categories: {CHANNEL: }", "categories.CHANNEL: must be auto, or a list of at least one value"),
        ("categories_limit: 0", "categories_limit: must be at least 1, not 0"),
        ("unknown: nul", "unknown: must be null or error; write"),
        ("unknown: {CHANNEL: 3}", "unknown.CHANNEL: must be null or error"),
        ("unknown: {a.b: null}", "unknown.a.b: this is a column, write it without schema and table"),
        ("unknown:", "unknown: has no value; write it, or leave the key out"),
    ],
)
def test_faults_of_categories_are_one_line(changed: Changed, written: str, said: str) -> None:
    found = refusal(changed("define: rhythm.sql", f"define: rhythm.sql, {written}"))
    assert found.startswith(f"pipeline.yaml:12: features.1.{said}")
    assert "\n" not in found


def test_the_exact_method_is_refused_where_a_view_declares_categories(changed: Changed) -> None:
    folder = changed("define: rhythm.sql", "define: rhythm.sql, categories: {CHANNEL: [web, store]}")
    path = folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("max_depth: 5", "tree_method: exact"))
    assert refusal(folder).startswith(
        "pipeline.yaml:22: training.hyperparameters.tree_method: exact cannot use categories"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "define: rhythm.sql}", "define: rhythm.sql, categories: {LEFT: [No, Yes]}}",
            ["12: features.1.categories.LEFT.0: YAML reads No as true or false; write it in quotes: 'No'",
             "12: features.1.categories.LEFT.1: YAML reads Yes as true or false; write it in quotes: 'Yes'"],
        ),
        (
            "define: rhythm.sql}", "define: rhythm.sql, categories: {SIZE: [1, 010, 1998-07-01, ~]}}",
            ["12: features.1.categories.SIZE.0: YAML reads 1 as a number; write it in quotes: '1'",
             "12: features.1.categories.SIZE.1: YAML reads 010 as a number; write it in quotes: '010'",
             "12: features.1.categories.SIZE.2: YAML reads 1998-07-01 as a date; write it in quotes: '1998-07-01'",
             "12: features.1.categories.SIZE.3: has no value"],
        ),
        ("[STAYS, CHURNS]", "[Off, On]",
         ["30: batch.labels.0: YAML reads Off as true or false; write it in quotes: 'Off'",
          "30: batch.labels.1: YAML reads On as true or false; write it in quotes: 'On'"]),
        ("column: CHURNED", "column: Yes",
         ["16: label.column: YAML reads Yes as true or false; write it in quotes: 'Yes'"]),
        ("name: churn", "name: 12", ["2: name: YAML reads 12 as a number; write it in quotes: '12'"]),
        ("view: customer_rhythm", "view: 1e3",
         ["12: features.1.view: '1e3' is not a name in Snowflake: write up to three parts of letters, digits, _ and $, joined by "
          "dots, or put a part with other characters in double quotes; write, for example, `customer_orders`"]),
        ("{customer_id: NUMBER}", "{No: NUMBER}",
         ["5: entity.No: YAML does not read the key No as a text; write it in quotes: 'No'"]),
    ],
)  # fmt: skip
def test_a_text_that_yaml_reads_otherwise_has_to_be_quoted(
    changed: Changed, old: str, new: str, said: list[str]
) -> None:
    assert refusal(changed(old, new)).splitlines() == [f"pipeline.yaml:{line}" for line in said]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{customer_id: NUMBER}", "{'\"customer id\"': NUMBER}", "5: entity.\"customer id\": the name customer id cannot be an "
         "argument of the SQL function and a feature in XGBoost, since it has characters other than letters, digits, _ and $; give "
         "it an alias: AS CUSTOMER_ID in every view and in the label, and write CUSTOMER_ID here"),
        ("column: CHURNED", "column: '\"churned [%]\"'", "16: label.column: the name churned [%] cannot be"),
        ("{customer_id: NUMBER}", "{score: NUMBER}", "5: entity.SCORE: is the name of a column that this program adds; rename it "
         "in every view: AS CHURN_SCORE"),
        ("{customer_id: NUMBER}", "{as_of: NUMBER}", "5: entity.AS_OF: is the name of a column that this program adds"),
        ("column: CHURNED", "column: known_at", "16: label.column: KNOWN_AT is reserved by the feature store"),
        ("column: CHURNED", "column: customer_id", "5: entity: CUSTOMER_ID is used twice"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_used_to_the_end_are_refused_with_an_alias(
    changed: Changed, old: str, new: str, said: str
) -> None:
    assert any(line.startswith(f"pipeline.yaml:{said}") for line in refusal(changed(old, new)).splitlines())


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("days since", "DAYS_SINCE"),
        ("% of [x] < 5", "OF_X_5"),
        ("Größe", "GROE"),
        ("1st", "F_1ST"),
        ('a"b', "A_B"),
        ("<>", "F"),
    ],
)
def test_an_alias_resembles_the_name(name: str, alias: str) -> None:
    assert alias_of(name) == alias
    assert feature_name_fault(name).endswith(f"give it an alias: AS {alias}")
    assert feature_name_fault(alias) == feature_name_fault("mixedCase_1$") == ""


#: Words of pydantic's own texts.
RAW = re.compile(
    r"should|valid |Input|String|Tuple|Dictionary|instance of|pydantic|unable to parse|Field required|pattern"
)


def mutants(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(keys, wrong value) for each key of ``body`` and each of a few values."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield from mutants(value, (*at, key))
    if at:
        for wrong in (None, "", "x y", "no such", -1, 0, 1e400, True, [], {}, [1, 2, 3], {"a": 1}, date(2020, 1, 1)):
            yield at, wrong


def test_no_text_of_the_validating_library_reaches_people() -> None:
    body = yaml.safe_load((churn.FOLDER / "pipeline.yaml").read_text())
    body["features"][1]["categories"] = {"CHANNEL": ["web", "store"]}
    faulty = 0
    for keys, wrong in mutants(body):
        changed = copy.deepcopy(body)
        block = changed
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = wrong
        try:
            Pipeline.model_validate(changed)
        except ValidationError as error:
            lines = explain(Places(Path("p"), {(): 1}, {}), error.errors())
            faulty += 1
            assert lines, (keys, wrong)
            for line in lines:
                assert not RAW.search(line.partition(": ")[2]), (keys, wrong, line)
    assert faulty > 300


def test_a_missing_key_that_was_misspelt_is_reported_once(changed: Changed) -> None:
    assert refusal(changed("name: churn", "nam: churn")) == "pipeline.yaml:2: nam: unknown key; did you mean name?"


def test_a_table_without_time_is_split_by_entity(tmp_path: Path) -> None:
    pipeline = spec.load(snapshot(tmp_path)).pipeline
    assert pipeline.is_snapshot
    assert pipeline.horizon == timedelta()
    assert not churn.PIPELINE.is_snapshot
    assert churn.PIPELINE.horizon == timedelta(days=90)


@pytest.mark.parametrize(
    "define",
    [
        "../features.py:churned",
        "views/../../features.py:churned",
        "/etc/features.py:churned",
        "../churned.sql",
        "/tmp/churned.sql",
        "views/../churned.sql",
        "'C:\\views\\churned.sql'",
        "C:churned.sql",
        "..\\churned.sql",
    ],
)
def test_a_definition_outside_the_folder_is_rejected(changed: Changed, define: str) -> None:
    folder = changed("define: features.py:churned", f"define: {define}")
    with pytest.raises(CallerError, match=r"label\.define: .* is outside the pipeline's folder; move the file into it"):
        spec.load(folder)


def test_a_definition_in_a_linked_folder_is_rejected(changed: Changed, tmp_path: Path) -> None:
    folder = changed("define: rhythm.sql", "define: shared/rhythm.sql")
    (tmp_path / "elsewhere").mkdir()
    (folder / "rhythm.sql").rename(tmp_path / "elsewhere" / "rhythm.sql")
    (folder / "shared").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CallerError, match=r"features\.1\.define: shared/rhythm\.sql leads out of .* by a link"):
        spec.load(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("column: CHURN", "column: CHURN, horizon: 9 days", "5: label.horizon: a split by entity takes all rows as of"),
        ("column: CHURN", "column: CHURN, as_of: {every: 1 day, last: 9}", "5: label.as_of: a split by entity takes"),
        ("{by: entity}", "{by: time}", "5: label.horizon: is missing; write, for example, `horizon: 90 days`; for a table without"),
        ("{split: {by: entity}}", "{}", "5: label.horizon: is missing; write"),
        ("{by: entity}", "{by: row}", "6: training.split.by: must be 'time', 'hash', 'random' or 'entity', not row"),
    ],
)  # fmt: skip
def test_times_and_a_split_by_entity_exclude_each_other(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refusal(snapshot(tmp_path, old, new)).startswith(f"pipeline.yaml:{said}")


@pytest.mark.parametrize("by", ["hash", "random", "entity"])
def test_every_split_without_time_takes_a_snapshot(tmp_path: Path, by: str) -> None:
    pipeline = spec.load(snapshot(tmp_path, "by: entity", f"by: {by}")).pipeline
    assert (pipeline.is_snapshot, pipeline.horizon) == (True, timedelta())
    assert pipeline.training.split.method == {"entity": "hash"}.get(by, by)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("define: label.sql, ", "", "5: label.define: is missing; write, for example, `define: features.py:churned`, or"),
        ("define: label.sql", "define: label.sql, source: telco", "5: label.source: define and source exclude each other"),
        ("define: label.sql", "define: label.sql, positive: a", "5: label.positive: belongs to source; let the definition"),
        ("define: label.sql", "source: telko", "5: label.source: there is no source telko; did you mean telco?"),
        ("define: label.sql", "source: x", "5: label.source: there is no source x; the sources are telco"),
        ("define: label.sql", "source: telco, positive: Yes", "5: label.positive: YAML reads Yes as true or false; write it in"),
        (
            "define: label.sql, column: CHURN}\ntraining: {",
            "source: telco, column: CHURN, positive: a}\ntraining: {hyperparameters: {objective: 'reg:tweedie'}, "
            "gate: {metric: rmse}, ",
            "5: label.positive: makes a label of 0 and 1, and reg:tweedie predicts a number",
        ),
        ("by: entity", "by: hash, seed: 1", "6: training.split.seed: is for by: random, and by is hash; leave it out, or"),
        ("by: entity", "by: random, seed: -1", "6: training.split.seed: must be at least 0, not -1"),
        ("by: entity", "by: random, seed: x", "6: training.split.seed: must be a whole number, not x"),
    ],
)  # fmt: skip
def test_faults_of_a_label_in_a_source_and_of_a_split_without_time(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert refusal(snapshot(tmp_path, old, new)).startswith(f"pipeline.yaml:{said}")


def test_a_label_in_a_source_with_time_makes_its_rows_the_training_rows(changed: Changed) -> None:
    pipeline = spec.load(changed("define: features.py:churned", "source: orders\n  known: row")).pipeline
    assert pipeline.has_spine
    assert pipeline.key_types("CHURN_LABEL") == {"CUSTOMER_ID": "NUMBER", "ROW_TIME": "TIMESTAMP_NTZ"}
    assert pipeline.key_types("CUSTOMER_ORDERS") == {"CUSTOMER_ID": "NUMBER"}


def test_what_a_row_may_get_belongs_to_a_label_of_a_source(changed: Changed) -> None:
    assert refusal(changed("column: CHURNED", "column: CHURNED\n  known: row")) == (
        "pipeline.yaml:17: label.known: belongs to a label with source in a split by time; leave it out"
    )


def test_a_split_by_time_needs_the_time_of_every_source(changed: Changed) -> None:
    said = refusal(changed("event_time: ORDER_DATE, ", ""))
    assert said.startswith(
        "pipeline.yaml:8: sources.orders.event_time: is missing; write the column with the time of each row"
    )
    assert "`split: {by: hash}`" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("table: RAW.ORDERS", "table:", "8: sources.orders.table: has no value; write, for example, `RAW.ORDERS`"),
        ("table: RAW.ORDERS", "table: ~", "8: sources.orders.table: has no value; write, for example, `RAW.ORDERS`"),
        ("event_time: ORDER_DATE", "event_time:", "8: sources.orders.event_time: "),
        ("event_time: ORDER_DATE", "event_time: ~", "8: sources.orders.event_time: is missing"),
        ("event_time: ORDER_DATE", "event_time: on", "8: sources.orders.event_time: YAML reads on as true or false"),
        ("event_time: ORDER_DATE", 'event_time: ""', "8: sources.orders.event_time: '' is not a name in Snowflake"),
        ("view: customer_orders", "view:", "11: features.0.view: has no value"),
        ("column: CHURNED", "column:", "16: label.column: has no value"),
        ("function: PREDICT_CHURN", "function:", "28: serving.function: has no value"),
        ("key: CUSTOMER_ID", "key:", "28: serving.key: has no value; write it, or leave the key out"),
        ("scorer: endpoint", "on_bad_row:", "28: serving.on_bad_row: has no value; write it, or leave the key out"),
        ("table: ANALYTICS.CHURN_SCORES", "table:", "30: batch.table: has no value"),
        ("define: rhythm.sql", "define:", "12: features.1.define: has no value"),
        ("monitoring: {drift: {psi: 0.2}}", "monitoring:", "32: monitoring: has no value"),
    ],
)  # fmt: skip
def test_a_key_without_a_value_is_rejected(changed: Changed, old: str, new: str, said: str) -> None:
    assert refusal(changed(old, new)).startswith(f"pipeline.yaml:{said}")
