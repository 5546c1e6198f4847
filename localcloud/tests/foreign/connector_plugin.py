"""A pytest plugin for the process of the connector's suite: where the server is, and the marks that its tox.ini declares.

In: SNOWSAGE_KEY and SNOWSAGE_PORT. Out: the suite's module ``test.parameters``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from foreign import CONNECTION, a_minute_each

pytest_runtest_protocol = a_minute_each
_MARKS = "lambda pandas sso aws azure gcp integ unit auth wif skipolddriver timeout internal external aio"


def pytest_configure(config: pytest.Config) -> None:
    for mark in _MARKS.split():
        config.addinivalue_line("markers", mark)


_parameters: Any = ModuleType("test.parameters")
_parameters.CONNECTION_PARAMETERS = CONNECTION
sys.modules["test.parameters"] = _parameters
