"""The contract of each port, tested through the adapters over the network.

The clouds are separate processes, known only by their connection settings. With ``SNOWSAGE_LIVE=1`` the settings come from the
environment, and the same tests run against real accounts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.cloud.snowflake import SnowflakeWarehouse
from tests.support.running import Clouds


@pytest.fixture(scope="package")
def environment(clouds: Clouds) -> Iterator[dict[str, str]]:
    """The connection settings of the clouds, also set in this process, where boto3 and the SDK read them."""
    with patch.dict(os.environ, {**clouds.environment, "SAGEMAKER_VALIDATE_ROLE": "false"}):
        yield clouds.environment


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
