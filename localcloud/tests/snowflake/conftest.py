"""Shared fixtures: one local Snowflake, one S3 server and one prediction service per session, one schema per test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer

from localcloud.snowflake.limits import Limits
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.surface import SEEN
from localcloud.tests.waiting import LIMIT_S

from .service import Service, functions

BUCKET = "lake"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    encoding, layout = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, layout).decode()


def results(cursor: Any) -> list[tuple[Any, ...]]:
    """The rows of the cursor's asynchronous query, or its error, which the driver raises in one of two calls."""
    cursor.get_results_from_sfqid(cursor.sfqid)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3(s3_url: str) -> Iterator[Any]:
    client = boto3.client(
        "s3", endpoint_url=s3_url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    yield client
    client.close()


@pytest.fixture(scope="module", autouse=True)
def bucket(s3: Any) -> None:
    """The bucket, for each module: moto's state is the process's, and another module's server forgets it when it stops."""
    s3.create_bucket(Bucket=BUCKET)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server(s3_url: str, s3: Any, private_key: rsa.RSAPrivateKey) -> Iterator[SnowflakeServer]:
    running = SnowflakeServer(
        aws_endpoint_url=s3_url,
        public_keys={"SERVICE": public_pem(private_key)},
        observe=SEEN.statement,
        limits=Limits(call_retry_s=LIMIT_S),
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def connect(server: SnowflakeServer, private_key: rsa.RSAPrivateKey) -> Iterator[Callable[..., Any]]:
    opened = []

    def open_(**options: Any) -> Any:
        parameters: dict[str, Any] = {
            "account": "LOCAL",
            "user": "SERVICE",
            "private_key": private_key,
            "authenticator": "SNOWFLAKE_JWT",
            "host": "127.0.0.1",
            "port": server.port,
            "protocol": "http",
            "database": "SNOWSAGE",
            "paramstyle": "qmark",
        }
        connection = snowflake.connector.connect(**{**parameters, **options})
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        connection.close()


@pytest.fixture(scope="session")
def connection(connect: Callable[..., Any]) -> Any:
    """A connection that shows JSON on one line."""
    return connect(session_parameters={"JSON_INDENT": 0})


@pytest.fixture
def schema(connection: Any) -> Iterator[str]:
    """A new schema, set as the current one, and dropped after the test so that listings of the account stay short."""
    name = f"T{next(_numbers)}"
    connection.cursor().execute(f"CREATE SCHEMA {name}")
    yield name
    connection.cursor().execute(f"DROP SCHEMA IF EXISTS SNOWSAGE.{name}")


@pytest.fixture
def snowpark(connect: Any, schema: str) -> Iterator[Any]:
    """A Snowpark session in the test's schema, closed at the end because Snowpark looks for an open session."""
    from snowflake.snowpark import Session

    connection = connect(schema=schema, session_parameters={"JSON_INDENT": 0})
    session = Session.builder.configs({"connection": connection}).create()
    yield session
    session.close()


@pytest.fixture
def sql(connection: Any, schema: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement in the test's schema and fetch all rows."""

    def run(text: str, binds: Any = None) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = connection.cursor().execute(text, binds).fetchall()
        return rows

    return run


@pytest.fixture
def cursor(connection: Any, schema: str) -> Any:
    return connection.cursor()


@pytest.fixture
def function(sql: Callable[..., Any], service: Service, schema: str) -> Callable[..., str]:
    """Create a function, ``f(a FLOAT)`` by default, answered by ``behaviour``; returns the path that the service sees."""
    return functions(sql, service, schema)


@pytest.fixture
def stage(sql: Callable[..., Any], schema: str) -> str:
    """A stage with its own prefix; its objects are under ``s3://lake/<lowercase schema>/``."""
    sql(
        "CREATE STORAGE INTEGRATION IF NOT EXISTS lake TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        "STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::123456789012:role/lake' STORAGE_ALLOWED_LOCATIONS = ('s3://lake/')"
    )
    sql(
        f"CREATE STAGE st URL = 's3://lake/{schema.lower()}/' STORAGE_INTEGRATION = lake FILE_FORMAT = (TYPE = PARQUET)"
    )
    return f"s3://lake/{schema.lower()}/"
