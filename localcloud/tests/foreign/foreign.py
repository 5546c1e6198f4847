"""Parts of both plugins: the connection to the server, and a time limit for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

_LIMIT_S = 60

CONNECTION: dict[str, Any] = {
    "account": "LOCAL",
    "user": "SERVICE",
    "authenticator": "SNOWFLAKE_JWT",
    "private_key_file": os.environ["SNOWSAGE_KEY"],
    "host": "127.0.0.1",
    "port": int(os.environ["SNOWSAGE_PORT"]),
    "protocol": "http",
    "database": "SNOWSAGE",
    "schema": "PUBLIC",
    "role": "ACCOUNTADMIN",
    "warehouse": "COMPUTE_WH",
}


@pytest.hookimpl(wrapper=True)
def time_limit() -> Iterator[Any]:
    """A ``pytest_runtest_protocol`` hook that fails a test after a minute."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {_LIMIT_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LIMIT_S)
    try:
        return (yield)
    finally:
        signal.alarm(0)
