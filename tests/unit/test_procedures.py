"""A query at any time, from its texts at a few."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.errors import CallerError
from app.features.routines.procedures import template
from app.features.routines.refresh import at_time

TIMES = (datetime(2024, 1, 31), datetime(2024, 3, 1), datetime(2025, 7, 13))


def query(at: datetime) -> str:
    """Times that follow as_of by any distance, dates, constants, and texts that only look like times."""
    near, later = at - timedelta(days=30, microseconds=5), at + timedelta(days=2)
    return f"SELECT '{at}'::TIMESTAMP_NTZ, '{near}', '{later.date()}'::DATE, '2020-01-01'::DATE, '2020-99-99', 'it''s' FROM t"


def test_a_template_gives_the_query_at_other_times() -> None:
    pieces = template({at: query(at) for at in TIMES}, "features.py:f")
    for at in (datetime(1999, 12, 31), datetime(2030, 2, 28)):
        assert at_time(pieces, at) == query(at)
    assert at_time(template(dict.fromkeys(TIMES, "SELECT 1"), "f"), TIMES[0]) == "SELECT 1"


def test_a_query_that_branches_on_its_time_has_no_procedure() -> None:
    texts = {datetime(2024, month, 1): f"SELECT {month}" for month in (1, 2)}
    with pytest.raises(CallerError, match=r"features.py:f: its query depends on as_of in other ways"):
        template(texts, "features.py:f")
    times = (datetime(2024, 1, 1), datetime(2024, 2, 9))
    month = {at: f"SELECT '{at.replace(day=1).date()}'::DATE" for at in times}
    with pytest.raises(CallerError, match="in other ways than by distances"):
        template(month, "features.py:f")
