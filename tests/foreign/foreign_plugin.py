"""A pytest plugin for the suite's own process: where the server is, and what of the suite's set-up it leaves out.

In: SNOWSAGE_KEY and SNOWSAGE_PORT. Out: the suite's module ``tests.parameters``. The suite sets parameters that Snowflake does
not document at the start of every module; those are left out. A test may take a minute.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

_LIMIT_S = 60


def _nothing(*_: object) -> None:
    """In place of the suite's ALTER SESSION statements."""


def _prepare() -> None:
    parameters: Any = ModuleType("tests.parameters")
    parameters.CONNECTION_PARAMETERS = {
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
    sys.modules["tests.parameters"] = parameters
    # It is a plugin of all of the suite, and needs a package that this project does not use.
    sys.modules["tests.integ.test_catalog"] = ModuleType("tests.integ.test_catalog")
    importlib.import_module("tests.integ.session_parameters").__dict__["set_up_test_session_parameters"] = _nothing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[Any]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {_LIMIT_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LIMIT_S)
    try:
        return (yield)
    finally:
        signal.alarm(0)


_prepare()
