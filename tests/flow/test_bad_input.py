"""User errors on the command line: one clear sentence, exit code 2, no traceback, and no change."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.running import Clouds

_NUMBERS = count(1)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def variant(pipeline: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the small pipeline with four training times, a changed pipeline file and additional files."""

    def make(change: Change = lambda _: None, **files: str) -> Path:
        folder = tmp_path / "variant"
        shutil.copytree(pipeline, folder)
        body = yaml.safe_load((folder / "pipeline.yaml").read_text())
        body["name"] = "variant"
        body["batch"]["table"] = "ANALYTICS.VARIANT_SCORES"
        body["serving"]["function"] = "PREDICT_VARIANT"
        body["label"]["as_of"] = {"every": "90 days", "last": 5}
        change(body)
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        for name, text in files.items():
            (folder / f"{name}.sql").write_text(text)
        return folder

    return make


def refused(done: subprocess.CompletedProcess[str], *parts: str, code: int = 2) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said, said
    for part in parts:
        assert part in said, f"{part!r} is missing:\n{said}"


def use_sql(body: dict[str, Any], **more: Any) -> None:
    """Replace the example's views by one SQL view, which the test writes. Each has its own name, since its definition differs."""
    body["features"] = [{"view": f"variant_view_{next(_NUMBERS)}", "version": 1, "define": "view.sql", **more}]


PLAIN = "SELECT customer_id, COUNT(*) AS orders_so_far FROM orders GROUP BY customer_id"


def test_an_unknown_key_is_reported_with_file_line_and_the_nearest_key(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    folder = variant(lambda body: body["label"].update(horizont="90 days"))
    refused(
        clouds.attempt("run", str(folder)),
        f"{folder}/pipeline.yaml:",
        "label.horizont: unknown key; did you mean horizon?",
    )


def test_a_missing_source_table_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(lambda body: body["sources"]["orders"].update(table="RAW.ODERS"))
    refused(
        clouds.attempt("run", str(folder)),
        f"{folder}/pipeline.yaml:",
        "sources.orders.table: RAW.ODERS cannot be read",
        ".RAW.ODERS' does not exist or not authorized",
    )


def test_a_missing_event_time_column_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(lambda body: body["sources"]["orders"].update(event_time="ORDERED_ON"))
    refused(
        clouds.attempt("run", str(folder)),
        "sources.orders.event_time: RAW.ORDERS has no column ORDERED_ON",
        "ORDER_DATE",
    )


def test_a_missing_column_in_a_view_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(use_sql, view="SELECT customer_id, SUM(amout) AS spent FROM orders GROUP BY customer_id")
    refused(clouds.attempt("run", str(folder)), "view.sql", "AMOUT")


def test_a_view_that_names_a_table_is_refused_before_anything_is_written(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    text = "SELECT customer_id, COUNT(*) AS n\nFROM raw.orders GROUP BY customer_id"
    refused(
        clouds.attempt("features", str(variant(use_sql, view=text))),
        "view.sql:2: reads the table RAW.ORDERS itself",
        "write orders, the source",
    )


def test_a_source_of_one_time_is_refused_before_anything_is_written(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    clouds.query("CREATE OR REPLACE TABLE RAW.SNAPSHOT AS SELECT *, '1990-01-01'::DATE AS LOADED FROM RAW.ORDERS")

    def change(body: dict[str, Any]) -> None:
        body["sources"]["orders"].update(table="RAW.SNAPSHOT", event_time="LOADED")
        for number, feature in enumerate(
            body["features"]
        ):  # the stored views of these names belong to another pipeline
            feature["view"] = f"view_{number}_of_a_snapshot"

    refused(
        clouds.attempt("run", str(variant(change))),
        "the label is made of the same rows at all as-of times",
        "LOADED of RAW.SNAPSHOT (sources.orders) has the same value in all rows",
    )


def test_a_text_column_with_too_many_values_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    text = "SELECT customer_id, TO_VARCHAR(customer_id) AS name FROM orders GROUP BY customer_id"
    done = clouds.attempt("run", str(variant(use_sql, view=text)))
    refused(done, "NAME is a text with 1,500 distinct values", "categories_limit: 100", "CASE WHEN NAME IN")


def test_a_value_outside_the_declared_categories_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    text = "SELECT customer_id, IFF(COUNT(*) > 1, 'many', 'one') AS habit FROM orders GROUP BY customer_id"
    folder = variant(lambda body: use_sql(body, categories={"HABIT": ["one", "none"]}), view=text)
    done = clouds.attempt("run", str(folder), "--to", "export")
    refused(done, "HABIT has", "values outside its declared categories")


def test_a_feature_with_only_nulls_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(use_sql, view=PLAIN.replace("AS orders_so_far", "AS orders_so_far, NULL::FLOAT AS nothing"))
    refused(clouds.attempt("run", str(folder)), "every value of NOTHING is NULL")
    assert clouds.query("SELECT COUNT(*) FROM ML.RUNS WHERE PIPELINE = 'variant' AND STAGE = 'export'") == [(0,)]


def test_a_view_with_a_repeated_entity_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(use_sql, view="SELECT customer_id, amount AS paid FROM orders")
    refused(clouds.attempt("run", str(folder)), "it must return one row for each (CUSTOMER_ID)")


def test_null_keys_of_a_source_are_reported_with_the_column_and_their_number(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    text = "SELECT NULLIF(customer_id, 7) AS customer_id, COUNT(*) AS orders_so_far FROM orders GROUP BY customer_id"
    done = clouds.attempt("run", str(variant(use_sql, view=text)), "--to", "features")
    refused(done, "CUSTOMER_ID is NULL in 1 of", "an entity needs its key", "WHERE CUSTOMER_ID IS NOT NULL")


def test_names_and_keys_that_fail_later_are_reported_by_features(clouds: Clouds, variant: Callable[..., Path]) -> None:
    text = 'SELECT customer_id + 0.5 AS customer_id, COUNT(*) AS "days since [x]" FROM orders GROUP BY customer_id'
    folder = variant(use_sql, view=text)
    refused(clouds.attempt("run", str(folder), "--to", "features"), "the name days since [x]", "AS DAYS_SINCE_X")
    (folder / "view.sql").write_text(text.replace('"days since [x]"', "n"))
    refused(clouds.attempt("run", str(folder), "--to", "features"), "the key CUSTOMER_ID is a number with decimals")


def test_a_label_with_one_class_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    def change(body: dict[str, Any]) -> None:
        use_sql(body)
        body["label"]["define"] = "label.sql"

    label = "SELECT customer_id, 1 AS churned FROM orders GROUP BY customer_id"
    done = clouds.attempt("run", str(variant(change, view=PLAIN, label=label)))
    refused(done, "the label CHURNED has one class only in all rows")


def test_an_empty_training_set_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    folder = variant(use_sql, view=PLAIN)
    refused(clouds.attempt("run", str(folder), "--date", "1990-01-01"), "has no rows", "the logical date")


def test_a_misspelt_hyperparameter_is_reported_before_anything_starts(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    def change(body: dict[str, Any]) -> None:
        use_sql(body)
        body["name"] = "misspelt"
        body["training"]["hyperparameters"].update(max_dept=3, verbosity=0)

    folder = variant(change, view=PLAIN)
    refused(clouds.attempt("run", str(folder)), f"{folder}/pipeline.yaml:", "max_dept", "did you mean max_depth?")
    assert clouds.query("SELECT COUNT(*) FROM ML.RUNS WHERE PIPELINE = 'misspelt'") == [(0,)]


@pytest.mark.slow
def test_the_quality_gate_prevents_deployment_of_a_poor_model(deployed: Clouds, variant: Callable[..., Path]) -> None:
    def change(body: dict[str, Any]) -> None:
        use_sql(body)
        body["training"]["gate"] = {"metric": "auc", "at_least": 0.999}

    folder = variant(change, view=PLAIN)
    refused(deployed.attempt("run", str(folder)), "did not pass the gate", "(minimum 0.999)")
    refused(deployed.attempt("batch", str(folder)), "did not pass the gate")
    versions = json.loads(deployed.snowsage("versions", str(folder), "--json").stdout)
    assert versions[-1]["stage"] == "rejected"
    assert versions[-1]["verdict"][0].startswith("failed: auc")


def test_a_stage_without_its_input_is_reported(clouds: Clouds, variant: Callable[..., Path]) -> None:
    refused(
        clouds.attempt("batch", str(variant(use_sql, view=PLAIN))),
        "has not finished features, registry",
        "--to registry",
    )


def test_missing_or_wrong_credentials_are_reported(clouds: Clouds, tmp_path: Path) -> None:
    bare = {name: value for name, value in clouds.environment.items() if not name.startswith("SNOWFLAKE_")}
    refused(
        Clouds(bare).attempt("sql", "SELECT 1"), "no Snowflake connection is configured", "SNOWFLAKE_PRIVATE_KEY_FILE"
    )
    home = tmp_path / "home"
    shutil.copytree(Path(clouds.environment["SNOWFLAKE_HOME"]), home, ignore=shutil.ignore_patterns("aws"))
    connection = home / "connections.toml"
    connection.write_text(connection.read_text().replace('user = "SNOWSAGE"', 'user = "WRONG_USER"'))
    stranger = {**clouds.environment, "SNOWFLAKE_HOME": str(home)}
    refused(Clouds(stranger).attempt("sql", "SELECT 1"), "Snowflake refuses the login")


def test_a_service_that_is_down_or_rejects_the_request_is_reported(deployed: Clouds, pipeline: Path) -> None:
    down = {**deployed.environment, "SNOWSAGE_API_URL": "http://127.0.0.1:9"}
    refused(Clouds(down).attempt("deploy", str(pipeline)), "the service does not answer", "snowsage serve", code=75)
    wrong = {**deployed.environment, "SNOWSAGE_SECRET": "wrong"}
    done = Clouds(wrong).attempt("deploy", str(pipeline))
    refused(done, "refuses the secret")
    assert "wrong" not in done.stdout + done.stderr


def test_a_service_that_is_down_is_reported_before_the_training_job(
    clouds: Clouds, variant: Callable[..., Path]
) -> None:
    def change(body: dict[str, Any]) -> None:
        use_sql(body)
        body["name"] = "unserved"

    down = {**clouds.environment, "SNOWSAGE_API_URL": "http://127.0.0.1:9"}
    folder = variant(change, view=PLAIN)
    refused(Clouds(down).attempt("run", str(folder)), "the service does not answer", "snowsage serve", code=75)
    assert clouds.query("SELECT STAGE FROM ML.RUNS WHERE PIPELINE = 'unserved' AND STAGE IN ('export', 'train')") == [
        ("export",)
    ]
    assert clouds.aws("sagemaker").list_training_jobs(NameContains="unserved")["TrainingJobSummaries"] == []


@pytest.mark.slow
def test_a_version_that_cannot_be_promoted_is_reported(deployed: Clouds, pipeline: Path) -> None:
    known = json.loads(deployed.snowsage("versions", str(pipeline), "--json").stdout)
    live = next(item["version"] for item in known if item["stage"] == "production")
    assert {item["version"]: item["share"] for item in known if item["share"]} == {live: 1.0}
    refused(deployed.attempt("promote", str(pipeline), "9.9"), f"churn has no version 9.9; its versions are {live}")
    shared = deployed.attempt("promote", str(pipeline), live, "--share", "10%")
    refused(shared, f"churn {live} cannot be given a share: it is the live version already")
    refused(deployed.attempt("rollback", str(pipeline)), f"no version of churn was live before {live}")


def test_a_port_in_use_is_reported(deployed: Clouds) -> None:
    refused(deployed.attempt_process("serve"), "port", "in use")


def test_wrong_arguments_in_sql_are_reported(deployed: Clouds, pipeline: Path) -> None:
    refused(deployed.attempt("sql", "SELECT ML.PREDICT_CHURN(1, 2)"), "PREDICT_CHURN")
    missing = "SELECT ML.PREDICT_CHURN(OBJECT_CONSTRUCT('TOTAL_SPENT', 1.5))"
    refused(deployed.attempt("sql", missing), "remote service error: 400", "ORDER_COUNT")


def test_a_deleted_endpoint_is_reported(deployed: Clouds, pipeline: Path) -> None:
    deployed.aws("sagemaker").delete_endpoint(EndpointName="churn")
    body = {"rows": [dict.fromkeys(_features(deployed, pipeline), 1)]}
    answer = deployed.post("/models/churn/predict", json.dumps(body).encode())
    assert answer.status == 503
    assert "not in service" in answer.text
    done = deployed.snowsage("deploy", str(pipeline))
    assert "a row came back through SQL" in done.stderr
    assert deployed.post("/models/churn/predict", json.dumps(body).encode()).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/predict/churn", b"not json", 400, "JSON"),
        ("/predict/churn", b'{"rows": []}', 400, "data"),
        ("/predict/churn", b'{"data": [[0, 1, 2]]}', 400, "argument"),
        ("/predict/nothing", b'{"data": [[0, 1]]}', 404, "nothing"),
        ("/models/nothing/predict", b'{"rows": []}', 404, "nothing"),
    ],
)
def test_invalid_requests_are_reported(
    deployed: Clouds, pipeline: Path, path: str, body: bytes, status: int, said: str
) -> None:
    answer = deployed.post(path, body)
    assert (answer.status, said in answer.text) == (status, True), answer.text
    assert deployed.post(path, body, secret="wrong").status == 401


def _features(deployed: Clouds, pipeline: Path) -> list[str]:
    versions = json.loads(deployed.snowsage("versions", str(pipeline), "--json").stdout)
    return ["CUSTOMER_ID", *(column["name"] for column in versions[-1]["contract"]["columns"])]
