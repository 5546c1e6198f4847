"""Snowpark's scoped temporary tables: readable like temporary ones, and visible to their session only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError


@pytest.mark.parametrize("words", ["SCOPED TEMP", "OR REPLACE  SCOPED TEMPORARY"])
def test_a_scoped_temporary_table_belongs_to_its_session(
    connect: Callable[..., Any], schema: str, sql: Callable[..., Any], words: str
) -> None:
    assert sql(f"CREATE {words} TABLE t (a INT NOT NULL)") == [("Table T successfully created.",)]
    sql("INSERT INTO t VALUES (1)")
    assert sql("SELECT a FROM t") == [(1,)]
    with pytest.raises(ProgrammingError) as caught:
        connect(schema=schema).cursor().execute("SELECT a FROM t")
    assert caught.value.errno == 2003
