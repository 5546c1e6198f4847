"""A pytest plugin for the connector's suite: provides the suite's module ``test.parameters`` and the marks of its tox.ini.

Reads the environment variables SNOWSAGE_KEY and SNOWSAGE_PORT.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from foreign import CONNECTION, time_limit

pytest_runtest_protocol = time_limit
_MARKS = "lambda pandas sso aws azure gcp integ unit auth wif skipolddriver timeout internal external aio"


def pytest_configure(config: pytest.Config) -> None:
    for mark in _MARKS.split():
        config.addinivalue_line("markers", mark)


_parameters: Any = ModuleType("test.parameters")
_parameters.CONNECTION_PARAMETERS = CONNECTION
sys.modules["test.parameters"] = _parameters
