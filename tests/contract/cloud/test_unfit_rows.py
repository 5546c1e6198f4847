"""Rows with values that a model does not take, in Snowflake: they are counted, and scored around where the pipeline allows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from app.batch.plan import BatchPlan, plan_batch
from app.batch.run import run_batch
from app.cloud.aws.s3 import S3Store
from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import CallerError
from app.export.check import LabelRule, judge_check, make_check
from app.export.plan import plan_unload
from app.registry.versions import RegisteredVersion
from app.sql import Name, Statement
from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import Model
from tests.unit import churn

CONTRACT = Contract(
    (Column("A"), Column("CHANNEL", "category", ("web", "store"))), key=("CUSTOMER_ID",), label="CHURNED"
)
TABLE = "ML.UNFIT_SCORES"

#: The second entity has a new category, the third a number that is no 32-bit float.
ROWS = """SELECT column1::NUMBER AS CUSTOMER_ID, '1998-07-01'::TIMESTAMP_NTZ AS AS_OF, column2::FLOAT AS A,
    column3::VARCHAR AS CHANNEL, column4::FLOAT AS CHURNED
FROM VALUES (1, 1, 'web', 0), (2, 2, 'kiosk', 1), (3, 1e39, 'store', 1), (4, NULL, NULL, 0), (5, 'NaN', 'web', 1)"""


@pytest.fixture(scope="module")
def version(store: S3Store, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> RegisteredVersion:
    """A registered version with an artefact on S3."""
    folder: Path = tmp_path_factory.mktemp("model")
    values = np.array([[1, 0], [2, 1], [3, 0], [4, 1]], dtype=np.float32)
    data = xgboost.DMatrix(
        values, [0, 1, 0, 1], feature_names=["A", "CHANNEL"], feature_types=["float", "c"], enable_categorical=True
    )
    params = {"objective": "binary:logistic", "tree_method": "hist", "min_child_weight": 0}
    Model(xgboost.train(params, data, 3), CONTRACT).save(folder)
    body, sha256 = churn.packed(folder)
    uri = f"s3://{environment['SNOWSAGE_BUCKET']}/contract/unfit/model.tar.gz"
    store.write(uri, body)
    return churn.registered(contract=CONTRACT.to_dict(), artifact_uri=uri, artifact_sha256=sha256)


@pytest.fixture
def table(warehouse: SnowflakeWarehouse) -> Iterator[str]:
    yield TABLE
    warehouse.run(Statement(f"DROP TABLE IF EXISTS {TABLE}"))


def planned(version: RegisteredVersion, environment: dict[str, str], on_bad_row: str) -> BatchPlan:
    batch = churn.PIPELINE.batch.model_copy(update={"table": TABLE})
    serving = churn.PIPELINE.serving.model_copy(update={"on_bad_row": on_bad_row})
    pipeline = churn.PIPELINE.model_copy(update={"batch": batch, "serving": serving})
    bucket, stage = environment["SNOWSAGE_BUCKET"], Name.parse(environment.get("SNOWSAGE_STAGE", "ML.LAKE"))
    run = replace(churn.RUN, pipeline="unfit", id=f"19980701-{on_bad_row}")
    plan = plan_batch(pipeline, run, churn.feature_set(), version, bucket, stage)
    check = make_check(ROWS, CONTRACT, unfit_allowed=on_bad_row != "fail")
    return replace(plan, unload=plan_unload(ROWS, (check,), run, "batch/features", bucket, stage))


def scores(warehouse: SnowflakeWarehouse) -> dict[int, dict[str, Any]]:
    found = warehouse.run(Statement(f"SELECT * FROM {TABLE} ORDER BY CUSTOMER_ID"))
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def test_one_unfit_row_stops_the_batch_by_default(
    version: RegisteredVersion, warehouse: SnowflakeWarehouse, store: S3Store, environment: dict[str, str], table: str
) -> None:
    with pytest.raises(CallerError) as caught:
        run_batch(planned(version, environment, "fail"), table, warehouse, store)
    assert "A has 1 value beyond the range of a 32-bit float" in str(caught.value)
    assert "CHANNEL has 1 value outside its declared categories" in str(caught.value)
    assert "on_bad_row: null" in str(caught.value)
    assert scores(warehouse) == {}


def test_unfit_rows_have_no_score_and_the_others_have_theirs(
    version: RegisteredVersion, warehouse: SnowflakeWarehouse, store: S3Store, environment: dict[str, str], table: str
) -> None:
    # The table was made with a score in every row, and without the errors' column.
    warehouse.run(planned(version, environment, "fail").create)
    for on_bad_row in ("null", "error"):
        result = run_batch(planned(version, environment, on_bad_row), table, warehouse, store)
        assert (result.scored, result.unfit) == (
            3,
            {
                "feature A has a value that is infinite or beyond the range of a 32-bit float": 1,
                "feature CHANNEL has a value outside its 2 declared categories": 1,
            },
        )
        found = scores(warehouse)
        assert [key for key, row in found.items() if row["SCORE"] is None] == [2, 3]
        assert {row["LABEL"] is None for key, row in found.items() if key in (2, 3)} == {True}
        assert all(row["LABEL"] in ("STAYS", "CHURNS") for key, row in found.items() if key not in (2, 3))
    assert found[2]["ERROR"] == "feature CHANNEL has a value outside its 2 declared categories"
    assert found[1]["ERROR"] is None
    again = run_batch(planned(version, environment, "error"), table, warehouse, store)
    assert (again.inserted, again.updated) == (0, 0)


def test_the_counts_show_labels_that_an_objective_cannot_learn(warehouse: SnowflakeWarehouse) -> None:
    for objective, text in (("binary:logistic", "0 or 1"), ("reg:gamma", "a finite number greater than 0")):
        training = churn.PIPELINE.training.model_copy(update={"hyperparameters": {"objective": objective}})
        rule = LabelRule("CHURNED", churn.PIPELINE.model_copy(update={"training": training}))
        query = f"SELECT * REPLACE (IFF(CUSTOMER_ID = 1, -1, CHURNED) AS CHURNED) FROM ({ROWS})"
        check = make_check(query, CONTRACT, rule)
        with pytest.raises(CallerError, match=f"the label CHURNED must be {text}"):
            judge_check(check, warehouse.run(check.statement).rows)


def test_a_label_that_matches_no_entity_is_a_sentence(warehouse: SnowflakeWarehouse) -> None:
    check = make_check(f"SELECT * FROM ({ROWS}) WHERE 1 = 0", CONTRACT, LabelRule("CHURNED", churn.PIPELINE))
    with pytest.raises(CallerError, match="no entity has both features and a label"):
        judge_check(check, warehouse.run(check.statement).rows)


def test_the_count_of_no_rows_is_zero(warehouse: SnowflakeWarehouse) -> None:
    counted = warehouse.run(Statement(f"SELECT COUNT_IF(A > 0), COUNT(A) FROM ({ROWS}) WHERE 1 = 0"))
    assert json.loads(json.dumps(counted.rows)) == [[0, 0]]
