"""Login: key pairs only, and Snowflake's error codes without retries for everything else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import snowflake.connector
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError

from localcloud.errors import CallerError
from localcloud.faults.rules import Fault, FaultPlan, Kind
from localcloud.snowflake.server import SnowflakeServer
from localcloud.tests.snowflake.conftest import public_pem


def test_a_key_pair_opens_a_session(connect: Any) -> None:
    connection = connect(schema="PUBLIC", role="SYSADMIN", warehouse="COMPUTE_WH")
    row = (
        connection.cursor()
        .execute(
            "SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_ACCOUNT()"
        )
        .fetchone()
    )
    assert row == ("SERVICE", "SYSADMIN", "COMPUTE_WH", "SNOWSAGE", "PUBLIC", "LOCAL")
    assert connection.session_id is not None


@pytest.fixture
def logins(server: SnowflakeServer) -> Iterator[FaultPlan]:
    """A record of the logins that arrive."""
    server.faults.add(Fault("snowflake:login", Kind.SLOW, seconds=0.001))
    yield server.faults
    server.faults.clear()


def test_a_wrong_key_is_rejected_immediately(connect: Any, logins: FaultPlan) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    before = len(logins.fired)
    with pytest.raises(DatabaseError, match="JWT token is invalid") as caught:
        connect(private_key=other)
    assert caught.value.errno == 390144
    assert len(logins.fired) == before + 1, "the driver does not try again"


def test_an_unknown_user_and_another_account_are_rejected(connect: Any) -> None:
    for options in ({"user": "MISSING"}, {"account": "ELSEWHERE"}):
        with pytest.raises(DatabaseError) as caught:
            connect(**options)
        assert caught.value.errno == 390144


def test_a_password_is_rejected(server: SnowflakeServer) -> None:
    with pytest.raises(DatabaseError, match="Incorrect username or password") as caught:
        snowflake.connector.connect(
            account="LOCAL", user="SERVICE", password="x", host="127.0.0.1", port=server.port, protocol="http"
        )
    assert caught.value.errno == 390100


def test_an_unknown_role_is_rejected(connect: Any) -> None:
    with pytest.raises(DatabaseError, match="does not exist or not authorized") as caught:
        connect(role="NO_SUCH_ROLE")
    assert caught.value.errno == 390189


@pytest.mark.parametrize("missing", ["database", "schema", "warehouse"])
def test_a_client_can_ask_for_objects_that_exist(connect: Any, missing: str) -> None:
    connect(**{missing: "NO_SUCH"}).close()
    with pytest.raises(DatabaseError, match=f"The requested {missing} does not exist") as caught:
        connect(**{missing: "NO_SUCH"}, validate_default_parameters=True)
    assert caught.value.errno == 390201
    connect(schema="PUBLIC", validate_default_parameters=True).close()


def test_clients_learn_the_defaults_of_parameters(connect: Any) -> None:
    with connect() as opened:
        assert opened.client_session_keep_alive is False
        cursor = opened.cursor()
        cursor.execute("SELECT 1")
        assert cursor.timestamp_ntz_output_format == "YYYY-MM-DD HH24:MI:SS.FF3"


def test_a_closed_session_is_rejected(server: SnowflakeServer, connect: Any) -> None:
    before = server.open_sessions
    connection = connect()
    assert server.open_sessions == before + 1
    connection.close()
    assert server.open_sessions == before


def test_concurrent_servers_share_nothing(private_key: rsa.RSAPrivateKey, connect: Any, connection: Any) -> None:
    threads = threading.active_count()
    other = SnowflakeServer(
        aws_endpoint_url="http://127.0.0.1:1", public_keys={"OTHER": public_pem(private_key)}, account="SECOND"
    )
    other.start()
    second = connect(account="SECOND", user="OTHER", port=other.port)
    second.cursor().execute("CREATE ROLE only_here")
    with pytest.raises(DatabaseError):
        connection.cursor().execute("USE ROLE only_here")
    second.close()
    other.stop()
    other.stop()
    assert threading.active_count() <= threads


def test_a_port_in_use_is_a_caller_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CallerError, match=r"cannot listen on 127\.0\.0\.1"):
            SnowflakeServer(aws_endpoint_url="http://127.0.0.1:1", public_keys={}, port=port).start()
