"""A million rows through the external function: each row is returned once, in order, with the model's score."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snowflake.connector

from app.cloud.snowflake import connection_arguments
from app.deploy.live import LiveVersion
from app.registry.archive import unpack
from sagemaker_entry.contract import Contract
from sagemaker_entry.model import Model
from tests.support.running import Clouds

ROWS = 1_000_000

pytestmark = pytest.mark.slow


@pytest.fixture
def live(deployed: Clouds) -> LiveVersion:
    body = deployed.aws("s3").get_object(Bucket=deployed.environment["SNOWSAGE_BUCKET"], Key="churn/live.json")["Body"]
    return LiveVersion.from_json(body.read())


@pytest.fixture
def model(deployed: Clouds, live: LiveVersion, tmp_path: Path) -> Model:
    """The registered artefact."""
    bucket, _, key = live.artifact_uri.removeprefix("s3://").partition("/")
    deployed.aws("s3").download_file(bucket, key, str(tmp_path / "model.tar.gz"))
    unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    return Model.load(tmp_path / "model", threads=1)


@pytest.fixture
def cursor(deployed: Clouds) -> Iterator[Any]:
    with snowflake.connector.connect(**connection_arguments(deployed.environment), database="SNOWSAGE") as connection:
        yield connection.cursor()


def customers(contract: Contract) -> str:
    """A query that generates all rows: large, small, fractional and negative numbers, some NULL; all rows differ."""
    columns = ", ".join(
        f"IFF(MOD(N + {place}, 37) = 0, NULL, MOD(N * {7919 + 2 * place}, 100003) / 32.0::FLOAT - 500) AS {name}"
        for place, name in enumerate(contract.names)
    )
    return f"SELECT N AS CUSTOMER_ID, {columns} FROM (SELECT ROW_NUMBER() OVER (ORDER BY NULL) - 1 AS N FROM TABLE(GENERATOR(ROWCOUNT => {ROWS})))"  # noqa: E501


def test_every_row_of_a_million_has_the_models_score(cursor: Any, live: LiveVersion, model: Model) -> None:
    names = live.contract.names
    cursor.execute(f"CREATE TABLE ANALYTICS.MILLION AS {customers(live.contract)}")
    cursor.execute(
        "CREATE TABLE ANALYTICS.MILLION_SCORED AS "
        f"SELECT *, ML.PREDICT_CHURN(CUSTOMER_ID, {', '.join(names)}) AS RISK FROM ANALYTICS.MILLION"
    )
    scored = cursor.execute("SELECT * FROM ANALYTICS.MILLION_SCORED ORDER BY CUSTOMER_ID").fetch_arrow_all()
    assert scored["CUSTOMER_ID"].to_numpy().tolist() == list(range(ROWS))
    matrix = np.stack([scored[name].to_numpy() for name in names], axis=1).astype(np.float32)
    assert 0.02 < np.isnan(matrix).mean() < 0.04
    expected = model.predict(matrix)
    assert len(np.unique(expected)) > 1000
    np.testing.assert_array_equal(scored["RISK"].to_numpy(), expected.astype(np.float64))
