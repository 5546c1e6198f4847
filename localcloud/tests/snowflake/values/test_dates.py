"""A DATE that is truncated or moved by whole days stays a DATE; a timestamp stays a timestamp."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from snowflake.connector.constants import FIELD_ID_TO_NAME

Sql = Callable[..., list[tuple[Any, ...]]]
_ROW = "(SELECT '2024-01-31'::DATE d, '2024-01-31 10:30:00'::TIMESTAMP_NTZ t, '2024-01-31 10:30:00'::TIMESTAMP_TZ z)"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("DATEADD(day, 1, d)", date(2024, 2, 1)),
        ("DATEADD('month', 1, d)", date(2024, 2, 29)),
        ("DATEADD(quarter, -1, d)", date(2023, 10, 31)),
        ("DATEADD(year, 1, MAX(d))", date(2025, 1, 31)),
        ("DATEADD(day, 1, DATEADD(week, 1, d))", date(2024, 2, 8)),
        ("DATEADD(hour, 1, d)", datetime(2024, 1, 31, 1)),
        ("DATEADD(day, 1, t)", datetime(2024, 2, 1, 10, 30)),
        ("DATEADD(day, 1, '2024-01-31')", datetime(2024, 2, 1)),
        ("DATEADD(day, 1, z)", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("ADD_MONTHS(d, 1)", date(2024, 2, 29)),
        ("ADD_MONTHS(t, -2)", datetime(2023, 11, 30, 10, 30)),
        ("DATE_TRUNC('month', d)", date(2024, 1, 1)),
        ("DATE_TRUNC('hour', t)", datetime(2024, 1, 31, 10)),
        ("d + INTERVAL '1 day'", date(2024, 2, 1)),
        ("d - INTERVAL '2 months'", date(2023, 11, 30)),
        ("d + INTERVAL '1 hour'", datetime(2024, 1, 31, 1)),
        ("d + 1", date(2024, 2, 1)),
        ("1 + d", date(2024, 2, 1)),
        ("d - 31", date(2023, 12, 31)),
        ("d - '2024-01-01'::DATE", 30),
    ],
)
def test_a_moved_date_keeps_its_type(cursor: Any, expression: str, value: Any) -> None:
    query = f"SELECT {expression} FROM {_ROW} GROUP BY d, t, z"
    (described,) = cursor.describe(query)
    ((found,),) = cursor.execute(query).fetchall()
    assert (type(found), found) == (type(value), value)
    zoned = getattr(value, "tzinfo", None) is not None
    expected = {date: "DATE", int: "FIXED", datetime: "TIMESTAMP_TZ" if zoned else "TIMESTAMP_NTZ"}[type(value)]
    assert FIELD_ID_TO_NAME[described.type_code] == expected


def test_group_by_moved_dates(sql: Sql) -> None:
    sql("CREATE TABLE t AS SELECT DATEADD(day, 1, d) d FROM " + _ROW)
    assert sql("DESC TABLE t")[0][1] == "DATE"
    for group in ("m", "1", "DATE_TRUNC('month', d)"):
        query = f"SELECT DATE_TRUNC('month', d) m, MAX(DATEADD(day, 1, d)) FROM t GROUP BY {group} ORDER BY {group}"
        assert sql(query) == [(date(2024, 2, 1), date(2024, 2, 2))]
