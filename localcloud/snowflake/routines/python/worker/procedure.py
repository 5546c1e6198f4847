"""The Snowpark session of a procedure's handler, and the query of the DataFrame that it returns.

Only procedures import this module, because it loads Snowpark.
"""

from __future__ import annotations

from typing import Any

import snowflake.connector
from snowflake.snowpark import DataFrame, Session


def session(connection: dict[str, Any]) -> Session:
    """A Snowpark session inside the caller's session."""
    return Session.builder.configs({"connection": snowflake.connector.connect(**connection)}).create()


def query_of(answer: Any) -> str:
    """Run the query of the DataFrame that the handler returned; returns the query id."""
    if not isinstance(answer, DataFrame):
        raise TypeError(f"a procedure that RETURNS TABLE returns a Snowpark DataFrame, not {type(answer).__name__}")
    return str(answer._execute_and_get_query_id())
