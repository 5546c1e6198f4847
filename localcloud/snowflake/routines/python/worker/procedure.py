"""The Snowpark session of a procedure's handler, and the query behind the table that it returns.

Only procedures import this module, because it loads Snowpark.
"""

from __future__ import annotations

from typing import Any

import snowflake.connector
from snowflake.snowpark import DataFrame, Session


def session(connection: dict[str, Any]) -> Session:
    """A Snowpark session nested in the caller's session."""
    return Session.builder.configs({"connection": snowflake.connector.connect(**connection)}).create()


def query_of(answer: Any) -> str:
    """Run the query of the DataFrame that the handler returned, and return its query id."""
    if not isinstance(answer, DataFrame):
        raise TypeError(f"a procedure that RETURNS TABLE must return a Snowpark DataFrame, not {type(answer).__name__}")
    return str(answer._execute_and_get_query_id())
