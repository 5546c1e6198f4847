"""What each port promises, through the adapters, over the wire.

The clouds are a process of their own, reached by connection settings alone; with ``SNOWSAGE_LIVE=1`` the settings are those of the
environment instead, and the same tests run against real accounts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.cloud.snowflake import SnowflakeWarehouse
from tests.support.running import ROOT, running_clouds


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings that reach the clouds, in this process too, since boto3 and the SDK look there."""
    if os.environ.get("SNOWSAGE_LIVE"):
        yield dict(os.environ)
        return
    before = dict(os.environ)
    with running_clouds(tmp_path_factory.mktemp("contract") / "state", ROOT / "examples/churn") as clouds:
        os.environ.update(clouds.environment)
        os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
        try:
            yield clouds.environment
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture(scope="package")
def warehouse(environment: dict[str, str]) -> Iterator[SnowflakeWarehouse]:
    found = SnowflakeWarehouse("SNOWSAGE", environment)
    yield found
    found.close()


@pytest.fixture(scope="package")
def session(environment: dict[str, str]) -> AwsSession:
    return AwsSession()


@pytest.fixture(scope="package")
def store(session: AwsSession) -> S3Store:
    return S3Store(session)


@pytest.fixture
def place(environment: dict[str, str], store: S3Store, request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder on S3 for one test."""
    uri = f"s3://{environment['SNOWSAGE_BUCKET']}/contract/{request.node.name.partition('[')[0]}/"
    yield uri
    store.delete_below(uri)
