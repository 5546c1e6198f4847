"""A port that is in use is the caller's mistake, for each of the servers. The AWS server's: ``aws/test_server.py``."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from localcloud.aws.gateway.server import ApiGateway
from localcloud.errors import CallerError
from localcloud.snowflake.server import SnowflakeServer


@pytest.mark.parametrize(
    "server",
    [
        lambda port: SnowflakeServer(aws_endpoint_url="http://127.0.0.1:9", public_keys={}, port=port),
        lambda port: ApiGateway(backend_url="http://127.0.0.1:9", injected_headers={}, port=port),
    ],
    ids=["snowflake", "gateway"],
)
def test_a_port_in_use_is_named(server: Callable[[int], SnowflakeServer | ApiGateway]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CallerError, match=rf"{port}.*\(Address already in use\)"):
            server(port).start()
