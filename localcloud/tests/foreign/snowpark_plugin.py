"""A pytest plugin for Snowpark's suite: provides the suite's module ``tests.parameters``, and skips a part of its set-up.

Reads the environment variables SNOWSAGE_KEY and SNOWSAGE_PORT. The suite sets undocumented Snowflake parameters at the start of
every module; the plugin skips that.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from foreign import CONNECTION, time_limit

pytest_runtest_protocol = time_limit


def _nothing(*_: object) -> None:
    """Replaces the suite's function that runs ALTER SESSION."""


def _prepare() -> None:
    parameters: Any = ModuleType("tests.parameters")
    parameters.CONNECTION_PARAMETERS = CONNECTION
    sys.modules["tests.parameters"] = parameters
    # All tests of the suite load this plugin, which needs a package that this project does not use.
    sys.modules["tests.integ.test_catalog"] = ModuleType("tests.integ.test_catalog")
    importlib.import_module("tests.integ.session_parameters").__dict__["set_up_test_session_parameters"] = _nothing


_prepare()
