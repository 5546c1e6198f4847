"""Random histories of a feature view: slices, their rows, and rows of a spine, with the point-in-time rule as a plain search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from app.features.store import Slice

VIEW, VERSION = "HISTORIES", 2
#: The view's declared delay.
DELAY = timedelta(hours=1)
START = datetime(2020, 1, 1)
#: Hours between the beginnings of two histories, longer than one history.
_ERA = 24 * 60
_ENTITIES = 4


@dataclass(frozen=True)
class History:
    """``rows``: by slice, the values of the entities that it holds. ``spine``: entity and time."""

    rows: dict[Slice, dict[int, int]]
    spine: tuple[tuple[int, datetime], ...]

    def answer(self, entity: int, when: datetime, ttl: timedelta | None, as_available: bool) -> int | None:
        """The value for a row of the spine by the rule, searched among all slices."""
        fitting = [
            part
            for part in self.rows
            if part.as_of <= when
            and (ttl is None or part.as_of > when - ttl)
            and (not as_available or self._available_at(part) <= when)
        ]
        if not fitting:
            return None
        return self.rows[max(fitting, key=lambda part: (part.as_of, part.known_at))].get(entity)

    def _available_at(self, part: Slice) -> datetime:
        first = min(other.known_at for other in self.rows if other.as_of == part.as_of)
        backfilled = part.known_at == first and part.known_at - part.as_of > DELAY + timedelta(days=1)
        return part.as_of + DELAY if backfilled else part.known_at


def history(random: Random, number: int) -> History:
    """One history with corrections, late slices, equal times, and entities that come and go.

    Its entities, and its part of the time, are its own, so that one table holds many.
    """
    start = START + timedelta(hours=number * _ERA)

    def moment() -> datetime:
        # Few distinct hours, so that equal times are frequent.
        return start + timedelta(hours=random.randrange(0, 600, 12))

    def drawn() -> Slice:
        as_of = moment()
        return Slice(VIEW, VERSION, as_of, as_of + timedelta(hours=random.randrange(0, 480, 12)), 0)

    slices = {(part.as_of, part.known_at): part for part in (drawn() for _ in range(random.randrange(9)))}
    entities = range(number * _ENTITIES, (number + 1) * _ENTITIES)
    rows = {
        part: {entity: random.randrange(1_000_000) for entity in entities if random.random() < 0.7}
        for part in slices.values()
    }
    spine = {(random.choice(entities), moment() + timedelta(hours=random.choice((0, 0, 1, 300)))) for _ in range(6)}
    return History(rows, tuple(sorted(spine)))
