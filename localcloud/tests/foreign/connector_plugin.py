"""A pytest plugin for the connector's suite: provides the suite's module ``test.parameters`` and the marks of its tox.ini.

Reads the environment variables SNOWSAGE_KEY and SNOWSAGE_PORT. It turns telemetry on, as in Snowflake, leaves out a parameter that
Snowflake does not document, and skips the tests of ``EXCLUDED``.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest
import snowflake.connector
from foreign import CONNECTION, time_limit
from snowflake.connector.cursor import SnowflakeCursor

pytest_runtest_protocol = time_limit
_MARKS = "lambda pandas sso aws azure gcp integ unit auth wif skipolddriver timeout internal external aio"
_UNDOCUMENTED = re.compile(r"\s*ALTER\s+SESSION\s+SET\s+SUPPRESS_INCIDENT_DUMPS\b", re.IGNORECASE)
_FRONT_END = "asks Snowflake's public front end for an account that does not exist"
#: What cannot be here, by the name of the test.
EXCLUDED = {
    "test_invalid_account_timeout": _FRONT_END,
    "test_eu_connection": _FRONT_END,
    "test_us_west_connection": _FRONT_END,
    "test_privatelink": "looks up a host of Snowflake's private network and asks its OCSP server",
}


def pytest_configure(config: pytest.Config) -> None:
    for mark in _MARKS.split():
        config.addinivalue_line("markers", mark)
    with snowflake.connector.connect(**CONNECTION) as connection:
        connection.cursor().execute("ALTER ACCOUNT SET CLIENT_TELEMETRY_ENABLED = TRUE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (reason := EXCLUDED.get(item.name)) is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


_execute = SnowflakeCursor.execute


def _execute_documented(cursor: SnowflakeCursor, command: str, *args: Any, **options: Any) -> Any:
    return cursor if _UNDOCUMENTED.match(command or "") else _execute(cursor, command, *args, **options)


_parameters: Any = ModuleType("test.parameters")
_parameters.CONNECTION_PARAMETERS = CONNECTION
sys.modules["test.parameters"] = _parameters
SnowflakeCursor.execute = _execute_documented
