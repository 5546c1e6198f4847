"""The session that a procedure's handler gets, and the query behind the table that it returns.

In: how to reach the server, with tokens of the caller's own session. Out: a Snowpark session, as anybody has it. Only procedures
import this module, because it loads Snowpark.
"""

from __future__ import annotations

from typing import Any

import snowflake.connector
from snowflake.snowpark import DataFrame, Session


def session(connection: dict[str, Any]) -> Session:
    """A Snowpark session inside the session that called."""
    return Session.builder.configs({"connection": snowflake.connector.connect(**connection)}).create()


def query_of(answer: Any) -> str:
    """Run the query of the DataFrame that the handler returned; its id."""
    if not isinstance(answer, DataFrame):
        raise TypeError(f"a procedure that RETURNS TABLE returns a Snowpark DataFrame, not {type(answer).__name__}")
    return str(answer._execute_and_get_query_id())
