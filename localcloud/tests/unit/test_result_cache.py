"""The cache of results that RESULT_SCAN reads."""

from __future__ import annotations

import pyarrow as pa
import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.result import DDL, Result
from localcloud.snowflake.sessions.result_cache import ResultCache

LARGE = Result(pa.table({"x": pa.array([b"\0" * (60 * 2**20)])}), (), DDL)
SMALL = Result(pa.table({"x": [1]}), (), DDL)


def test_a_result_kept_again_counts_once() -> None:
    cache = ResultCache()
    cache.keep("first", "ada", SMALL)
    for _ in range(20):  # 1.2 GiB, were each counted
        cache.keep("again", "ada", LARGE)
    assert cache.get("first", "ada") is SMALL
    assert cache.get("again", "ada") is LARGE


def test_the_oldest_results_leave_when_the_memory_is_full() -> None:
    cache = ResultCache()
    for number in range(9):  # 540 MiB
        cache.keep(str(number), "ada", LARGE)
    with pytest.raises(ProgrammingError):
        cache.get("0", "ada")
    assert cache.get("8", "ada") is LARGE
