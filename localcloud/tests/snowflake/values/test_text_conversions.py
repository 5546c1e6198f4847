"""TO_DATE, TO_TIME and TO_TIMESTAMP of texts with and without a format, TO_CHAR of times and binaries, and units of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.functions.moments.written_formats import iso_text

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("2024-02-01 00:00:00.123456789", "YYYY-MM-DD HH24:MI:SS.FF1", "2024-02-01 00:00:00.123456"),
        ("20240202010203", "YYYYMMDDHH24MISS", "2024-02-02 01:02:03"),
        ("03 Feb 2024", "DD mon YYYY", "2024-02-03 00:00:00"),
        ("10.33-44 PM", "HH12.MI-SS PM", "1970-01-01 22:33:44"),
        ("12:05 am", "HH12:MI AM", "1970-01-01 00:05:00"),
        ("01:02:03", "HH24:MI:SS.FF", "1970-01-01 01:02:03"),
        ("01:02:03.5+0700", "%H:%M:%S.%f_nine%z", "1970-01-01 01:02:03.5+07:00"),
        ("99-1-2", "YY-MM-DD", "1999-01-02 00:00:00"),
        ("at 2024", '"at "YYYY', "2024-01-01 00:00:00"),
        ("2024/01/02", "YYYY-MM-DD", None),
        ("Foo 2024", "MON YYYY", None),
        ("2024-01-02", "AUTO", "2024-01-02"),
        (None, "YYYY", None),
    ],
)
def test_texts_are_read_by_snowflakes_formats(text: str | None, written: str, expected: str | None) -> None:
    assert iso_text(text, written) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("TO_TIME('20:57:01.123456+0700', 'HH24:MI:SS.FFTZHTZM')", time(20, 57, 1, 123456)),
        ("TO_TIME('01:02:03', 'HH24:MI:SS.FF9')", time(1, 2, 3)),
        ("TO_TIME(s, 'HH24:MI:SS.FF4')", time(22, 33, 44, 567890)),
        ("TO_TIME('1712265619')", time(21, 20, 19)),
        ("TO_TIME(PARSE_JSON('\"01:02:03\"'))", time(1, 2, 3)),
        ("TO_DATE('30-JUL-2010')", date(2010, 7, 30)),
        ("TO_DATE('31536000000000')", date(1971, 1, 1)),
        ("'03/21/2000'::DATE", date(2000, 3, 21)),
        ("d::DATE", date(2024, 4, 19)),
        ("TO_DATE(d, f)", date(2024, 4, 19)),
        ("TRY_TO_DATE(s, f)", None),
        ("TO_TIMESTAMP_NTZ(d, f)", datetime(2024, 4, 19)),
        (
            "TO_TIMESTAMP_NTZ('2020-01-02 03:04:05 +0700', 'YYYY-MM-DD HH24:MI:SS TZHTZM')",
            datetime(2020, 1, 2, 3, 4, 5),
        ),
        (
            "TO_TIMESTAMP_TZ('2020-01-02 03:04:05 +0700', 'YYYY-MM-DD HH24:MI:SS TZHTZM')",
            datetime(2020, 1, 1, 20, 4, 5, tzinfo=UTC),
        ),
        ("TO_CHAR('10:11:12'::TIME, 'HH24.MI')", "10.11"),
        ("TO_CHAR(TO_BINARY('313233'), 'utf-8')", "123"),
        ("TO_CHAR(TO_BINARY('313233'), 'hex')", "313233"),
        ("TO_VARCHAR('313233'::BINARY, 'base64')", "MTIz"),
        ("DATE_PART(EPOCH, '2017-02-24 13:00:00.723'::TIMESTAMP)", 1487941200),
        ("DATE_PART(EPOCH_MILLISECOND, '1969-12-31 23:59:59.9'::TIMESTAMP)", -100),
        ("DATE_PART(EPOCH, '1969-12-31 23:59:59.9'::TIMESTAMP)", -1),
    ],
)
def test_values(sql: Sql, call: str, expected: Any) -> None:
    rows = sql(f"SELECT {call} FROM VALUES ('2024-04-19', 'YYYY-MM-DD', '22:33:44.56789') AS t(d, f, s)")
    assert rows == [(expected,)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("TO_DATE('x', 'YYYY')", "Can't parse 'x'"),
        ("TO_DATE(d, f || '/')", "Can't parse '2024-04-19'"),
        ("DATE_TRUNC('foobar', d::DATE)", "'FOOBAR' is not a valid date/time component for function DATE_TRUNC"),
        ("DATEDIFF('epoch_second', d::DATE, d::DATE)", "is not a valid date/time component for function DATE_DIFF"),
        ("CONVERT_TIMEZONE('UTC', 'US/Eastern', CURRENT_TIMESTAMP())", "Invalid argument types"),
    ],
)
def test_refusals(sql: Sql, call: str, text: str) -> None:
    with pytest.raises(ProgrammingError, match=text):
        sql(f"SELECT {call} FROM VALUES ('2024-04-19', 'YYYY-MM-DD') AS t(d, f)")
