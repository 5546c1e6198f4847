"""Names of time zones: those of the IANA database, in its letter case, as Snowflake takes them."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

#: The name of UTC in an account that sets no time zone.
UTC = "Etc/UTC"


def is_time_zone(name: str) -> bool:
    return name in _names()


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())
