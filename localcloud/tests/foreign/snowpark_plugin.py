"""A pytest plugin for the process of Snowpark's suite: where the server is, and what of the suite's set-up it leaves out.

In: SNOWSAGE_KEY and SNOWSAGE_PORT. Out: the suite's module ``tests.parameters``. The suite sets parameters that Snowflake does
not document at the start of every module; those are left out.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from foreign import CONNECTION, a_minute_each

pytest_runtest_protocol = a_minute_each


def _nothing(*_: object) -> None:
    """In place of the suite's ALTER SESSION statements."""


def _prepare() -> None:
    parameters: Any = ModuleType("tests.parameters")
    parameters.CONNECTION_PARAMETERS = CONNECTION
    sys.modules["tests.parameters"] = parameters
    # It is a plugin of all of the suite, and needs a package that this project does not use.
    sys.modules["tests.integ.test_catalog"] = ModuleType("tests.integ.test_catalog")
    importlib.import_module("tests.integ.session_parameters").__dict__["set_up_test_session_parameters"] = _nothing


_prepare()
