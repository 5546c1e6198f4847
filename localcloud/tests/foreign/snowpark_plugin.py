"""A pytest plugin for Snowpark's suite: provides the suite's module ``tests.parameters``, and adapts its set-up.

Reads the environment variables SNOWSAGE_KEY and SNOWSAGE_PORT. The suite sets undocumented Snowflake parameters at the start of
every module; the plugin skips that. Some modules begin with a table that has two columns of each type, whose names differ only in
the case of their letters. The local Snowflake refuses such tables, so the plugin numbers the second name: ``"number"`` becomes
``"number_2"``. It also leaves out their columns of the types GEOGRAPHY and GEOMETRY. No test names these columns.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType
from typing import Any

from foreign import CONNECTION, time_limit

pytest_runtest_protocol = time_limit

_COLUMN = re.compile(r'(?:^|(?<=,))\s*(?:"(\w+)"|(\w+))(?= )')

_GEOSPATIAL = re.compile(r',\s*"?\w+"? geo(?:graphy|metry)(?: not null)?(?=,|$)')
# The tables of all types have more columns than any other.
_MANY = 20


def _nothing(*_: object) -> None:
    """Replaces the suite's function that runs ALTER SESSION."""


def _distinct(schema: str) -> str:
    """The columns of a table of all types: those that the local Snowflake has, with a number after each second name."""
    if schema.count(",") < _MANY:
        return schema
    schema = _GEOSPATIAL.sub("", schema)
    plain = {found[2].upper() for found in _COLUMN.finditer(schema) if found[2]}

    def numbered(found: re.Match[str]) -> str:
        return f'"{found[1]}_2"' if found[1] and found[1].upper() in plain else found[0]

    return _COLUMN.sub(numbered, schema)


def _prepare() -> None:
    parameters: Any = ModuleType("tests.parameters")
    parameters.CONNECTION_PARAMETERS = CONNECTION
    sys.modules["tests.parameters"] = parameters
    # All tests of the suite load this plugin, which needs a package that this project does not use.
    sys.modules["tests.integ.test_catalog"] = ModuleType("tests.integ.test_catalog")
    importlib.import_module("tests.integ.session_parameters").__dict__["set_up_test_session_parameters"] = _nothing
    utils = importlib.import_module("tests.utils").Utils
    create_table = utils.create_table

    def create_distinct(session: Any, name: str, schema: str, is_temporary: bool = False) -> None:
        create_table(session, name, _distinct(schema), is_temporary)

    utils.create_table = staticmethod(create_distinct)


_prepare()
