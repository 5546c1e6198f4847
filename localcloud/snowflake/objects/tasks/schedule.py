"""Task schedules: intervals and cron expressions.

As Snowflake documents for cron: a local time skipped by daylight saving does not run, and a repeated one runs once. If
both the day of the month and the day of the week are restricted, a day matches if either of them matches.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import compilation

_INTERVAL = re.compile(r"\s*(\d+)\s*(MINUTES?|M|SECONDS?|S|HOURS?|H)\s*", re.IGNORECASE)
_CRON = re.compile(r"\s*USING\s+CRON\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*", re.IGNORECASE)
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_SECONDS = {"S": 1, "M": 60, "H": 3600}
_LONGEST_S = 8 * 86_400
# Far enough to reach 29 February on any day of the week.
_DAYS_AHEAD = 366 * 28


@dataclass(frozen=True)
class Interval:
    seconds: int

    def after(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """Parsed cron fields. ``days`` and ``weekdays`` are kept as text, because L and # depend on the month."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: str
    months: frozenset[int]
    weekdays: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """The first time of the schedule after ``moment``, in UTC."""
        day = moment.astimezone(self.zone).date()
        for _ in range(_DAYS_AHEAD):
            if day.month in self.months and self._matches(day):
                for found in self._moments(day):
                    if found > moment:
                        return found
            day += timedelta(days=1)
        raise _invalid("the cron expression never matches")

    def _moments(self, day: date) -> list[datetime]:
        found = []
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                local = datetime.combine(day, time(hour, minute), self.zone)
                moment = local.astimezone(UTC)
                if moment.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    found.append(moment)
        return sorted(found)

    def _matches(self, day: date) -> bool:
        by_day, by_weekday = _day_matches(self.days, day), _weekday_matches(self.weekdays, day)
        if self.days == "*" or self.weekdays == "*":
            return by_day and by_weekday
        return by_day or by_weekday


Schedule = Interval | Cron


def parse_schedule(text: str) -> Schedule:
    """Parse a SCHEDULE; raises Snowflake's error if it is invalid."""
    if match := _INTERVAL.fullmatch(text):
        seconds = int(match[1]) * _SECONDS[match[2][0].upper()]
        if not 10 <= seconds <= _LONGEST_S:
            raise _invalid(text)
        return Interval(seconds)
    if match := _CRON.fullmatch(text):
        try:
            zone = ZoneInfo(match[6])
            sample = date(2024, 2, 29)
            _day_matches(match[3], sample)
            _weekday_matches(match[5], sample)
            return Cron(
                _values(match[1], 0, 59, {}),
                _values(match[2], 0, 23, {}),
                match[3],
                _values(match[4], 1, 12, _MONTHS),
                match[5],
                zone,
            )
        except (ValueError, OSError, KeyError) as error:
            raise _invalid(text) from error
    raise _invalid(text)


def _invalid(text: str) -> ProgrammingError:
    return compilation(1008, "22023", f"invalid value [{text}] for parameter 'SCHEDULE'")


def _values(field: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if span == "*" else _number(first, names)
        end = high if span == "*" or (step and not last) else _number(last or first, names)
        if not low <= start <= end <= high or (step and int(step) < 1):
            raise ValueError(field)
        found |= set(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    return names[text.upper()] if text.upper() in names else int(text)


def _day_matches(field: str, day: date) -> bool:
    if field.upper() == "L":
        return day.day == calendar.monthrange(day.year, day.month)[1]
    return day.day in _values(field, 1, 31, {})


def _weekday_matches(field: str, day: date) -> bool:
    """0 and 7 are Sunday; ``5L`` is the last Friday of the month."""
    weekday = day.isoweekday() % 7
    if field.upper().endswith("L") and field.upper() != "JUL":
        last = day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        return weekday == _number(field[:-1], _DAYS) % 7 and last
    return weekday in {value % 7 for value in _values(field, 0, 7, _DAYS)}
