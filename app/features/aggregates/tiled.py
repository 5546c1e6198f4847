"""A source with daily tiles: partial aggregates of whole UTC days, next to the rows for the parts of days at a window's edges.

A tile holds, for one entity and day: ``N`` rows, ``FIRST_TIME`` and ``LAST_TIME``; and for each measured column X ``N_X`` values,
``SUM_X``, ``SQUARES_X`` (the sum of squares), ``MIN_X`` and ``MAX_X``. From these, sums, counts, means, extremes and deviations of
any number of days follow without the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from snowflake.snowpark import Column, DataFrame
from snowflake.snowpark import functions as F

from app.errors import CallerError
from app.features.aggregates.event_time import moment, utc
from app.features.aggregates.keys import key_columns, stored
from app.features.aggregates.measures import Measure, ratio
from app.sql import identifier

DAY = timedelta(days=1)

#: The time of a tile (its day's first moment) or of a row, and whether it is a tile, in the frame of :meth:`Tiled.parts`.
AT, IS_TILE = "AT", "IS_TILE"


@dataclass(frozen=True)
class Tiled:
    """The tiles and the rows of a source, cut at the same time. A pipeline gives it to a view as ``sources["<source>_tiles"]``.

    ``tiles``: one row for each entity and UTC day. ``rows``: the source. ``key``, ``event_time`` and ``measures``: the columns of
    the source that the tiles were made by, as Snowflake stores their names.
    """

    tiles: DataFrame
    rows: DataFrame
    key: tuple[str, ...]
    event_time: str
    measures: tuple[str, ...]

    def check(self, key: str | Sequence[str], event_time: str | Column, measures: Iterable[Measure]) -> None:
        """Raise CallerError for a key that the tiles are not grouped by, another event time, and measures that they do not hold."""
        if missing := [name for name in key_columns(key) if stored(name) not in self.key]:
            raise CallerError(
                f"the tiles have no key {', '.join(missing)}; they are made by {', '.join(self.key)}: declare the key under `tiles`"
            )
        if not isinstance(event_time, str) or stored(event_time) != self.event_time:
            raise CallerError(f"the tiles are made by {self.event_time}; give that column's name as the event time")
        for measure in measures:
            name = stored(measure.name) if measure.name else None
            if measure.kind not in _FROM_TILES or (measure.kind != "rows" and name not in self.measures):
                raise CallerError(
                    f"tiles cannot give {measure.kind} of {measure.name or 'an expression'}: they hold sums, counts, means, "
                    f"extremes and deviations of {', '.join(self.measures) or 'no column'}; declare the column under `tiles`, or "
                    "use the source"
                )

    def parts(self, key: str | Sequence[str], as_of: datetime, starts: Sequence[datetime]) -> DataFrame:
        """Tiles of the days before ``as_of``, and as tiles of one event each the rows of days that a window holds in part."""
        names = key_columns(key)
        selected = [F.col(name) for name in names]
        whole = self.tiles.filter(F.col("DAY") < moment(first_moment(as_of))).select(
            *selected,
            F.col("DAY").cast("TIMESTAMP_NTZ").alias(AT),
            F.lit(True).alias(IS_TILE),
            *self.part_columns,
        )
        edges = [(start, next_day(start)) for start in starts if start != first_moment(start)]
        if as_of != first_moment(as_of):
            edges.append((first_moment(as_of), as_of))
        return whole.union_all(self._edge_rows(selected, edges)) if edges else whole

    @property
    def part_columns(self) -> list[Column]:
        """The columns that :meth:`aggregate` reads."""
        return [F.col("N"), *(F.col(_named(part, name)) for name in self.measures for part in _PARTS)]

    def _edge_rows(self, key: list[Column], edges: Sequence[tuple[datetime, datetime]]) -> DataFrame:
        """The rows of the intervals ``edges``, each once, in the columns of tiles."""
        event = F.col(identifier(self.event_time))
        # The column itself is compared, too, so that Snowflake skips partitions: a session's zone moves it by less than a day.
        wide = self.rows.filter(_within(event, [(start - DAY, end + DAY) for start, end in edges]))
        values = [F.col(identifier(name)) for name in self.measures]
        timed = wide.select(*key, utc(event).alias(AT), *values).filter(_within(F.col(AT), edges))
        parts = [
            part(value).alias(_named(kind, name))
            for name, value in zip(self.measures, values, strict=True)
            for kind, part in _PARTS.items()
        ]
        return timed.select(*key, F.col(AT), F.lit(False).alias(IS_TILE), F.lit(1).alias("N"), *parts)

    def aggregate(self, measure: Measure, within: Column) -> Column:
        """A measure of the parts for which ``within`` holds."""
        name = stored(measure.name) if measure.name else None
        return _FROM_TILES[measure.kind](
            lambda part: F.iff(within, F.col(_named(part, name) if name else part), F.lit(None))
        )


def _named(part: str, measured: str) -> str:
    return identifier(f"{part}_{measured}")


def _within(time: Column, intervals: Sequence[tuple[datetime, datetime]]) -> Column:
    """Whether a time is in one of half-open intervals."""
    return reduce(or_, ((time >= moment(start)) & (time < moment(end)) for start, end in intervals))


def first_moment(time: datetime) -> datetime:
    """Midnight of its day."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def next_day(time: datetime) -> datetime:
    """The first midnight that is not before ``time``."""
    midnight = first_moment(time)
    return midnight if midnight == time else midnight + DAY


#: A row's own parts of a tile.
_PARTS: dict[str, Callable[[Column], Column]] = {
    "N": lambda x: F.iff(x.is_null(), F.lit(0), F.lit(1)),
    "SUM": lambda x: x,
    "SQUARES": lambda x: x * x,
    "MIN": lambda x: x,
    "MAX": lambda x: x,
}

_Part = Callable[[str], Column]


def _deviation(part: _Part) -> Column:
    """``SQRT((q - s * s / n) / (n - 1))``. Its error grows with the square of mean / deviation; below 0 is rounding."""
    n, s, q = (F.sum(part(name)).cast("FLOAT") for name in ("N", "SUM", "SQUARES"))
    squares = F.greatest(q - ratio(s * s, n), F.lit(0.0))
    return F.sqrt(ratio(squares, n - F.lit(1)))


#: The measures of several tiles' parts.
_FROM_TILES: dict[str, Callable[[_Part], Column]] = {
    "rows": lambda part: F.coalesce(F.sum(part("N")), F.lit(0)),
    "total": lambda part: F.coalesce(F.sum(part("SUM")), F.lit(0)).cast("FLOAT"),
    "count": lambda part: F.coalesce(F.sum(part("N")), F.lit(0)),
    "mean": lambda part: ratio(F.sum(part("SUM")), F.sum(part("N"))),
    "minimum": lambda part: F.min(part("MIN")),
    "maximum": lambda part: F.max(part("MAX")),
    "deviation": _deviation,
}
