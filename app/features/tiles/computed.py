"""Tiles computed from a source.

A view's query names them, as a subquery over the source cut at its time. So it can be checked, run and identified without a table.
The stage replaces the subquery by the stored tiles, which hold the same rows, when it writes slices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from app.features.definitions.reads import cut_query
from app.spec.schema import Source, Tiles
from app.sql import columns, identifier, literal, timestamp

#: The parts of a tile that hold a measured column.
_PARTS = {
    "N": "COUNT({0})",
    "SUM": "SUM({0})",
    "SQUARES": "SUM({0} * {0})",
    "MIN": "MIN({0})",
    "MAX": "MAX({0})",
}


def tiles_name(source: str) -> str:
    """The short name under which views read a source's tiles."""
    return f"{source}_tiles"


def tile_columns(tiles: Tiles) -> tuple[str, ...]:
    """The columns of a tile, in order."""
    parts = [f"{part}_{name}" for name in tiles.measures for part in _PARTS]
    return (*tiles.key, "DAY", "N", "FIRST_TIME", "LAST_TIME", *parts)


def computed_tiles(source: Source, cut: datetime, since: datetime | None = None) -> str:
    """The tiles of the whole UTC days before ``cut``, on one line. ``since``: a midnight, for its day and later ones only.

    Rows without a key, which no entity has, are left out.
    """
    assert source.tiles is not None
    parts = [
        f"{function.format(identifier(name))} AS {identifier(f'{part}_{name}')}"
        for name in source.tiles.measures
        for part, function in _PARTS.items()
    ]
    aggregates = ["COUNT(*) AS N", "MIN(EVENT_AT) AS FIRST_TIME", "MAX(EVENT_AT) AS LAST_TIME", *parts]
    key = columns(source.tiles.key)
    return (
        f"SELECT {key}, EVENT_AT::DATE AS DAY, {', '.join(aggregates)} FROM {timed_rows(source, cut, since)} "
        f"GROUP BY {key}, EVENT_AT::DATE"
    )


def timed_rows(source: Source, cut: datetime, since: datetime | None = None) -> str:
    """Key, measures and EVENT_AT, the time in UTC, of the source's rows of whole days before ``cut``."""
    assert source.event_time is not None
    assert source.tiles is not None
    event = identifier(source.event_time)
    named = columns(dict.fromkeys([*source.tiles.key, *source.tiles.measures]))
    conditions = [f"EVENT_AT < {literal(cut.date().isoformat())}::TIMESTAMP_NTZ"]
    conditions += [f"{identifier(name)} IS NOT NULL" for name in source.tiles.key]
    near = ""
    if since is not None:
        conditions.append(f"EVENT_AT >= {timestamp(since)}")
        # The column itself is compared, too, so that Snowflake skips partitions.
        near = f" WHERE {event} >= {timestamp(since - timedelta(days=1))}"
    return (
        f"(SELECT {named}, TO_TIMESTAMP_NTZ(DATE_PART(EPOCH_MICROSECOND, {event}), 6) AS EVENT_AT "
        f"FROM ({cut_query(source, cut)}){near}) WHERE {' AND '.join(conditions)}"
    )


def tile_cuts(query: str, source: Source) -> set[datetime]:
    """The times at which the sources of the tiles in a query are cut; empty if it reads no tiles of ``source``."""
    before, _, _ = computed_tiles(source, datetime.min).partition(timestamp(datetime.min))
    return {datetime.fromisoformat(text) for text in re.findall(f"{re.escape(before)}'([^']*)'", query)}


def source_queries(sources: Mapping[str, Source], cut: datetime) -> dict[str, str]:
    """What a view can read at ``cut``, by short name: each source, and the tiles of those that declare them."""
    found = {}
    for name, source in sources.items():
        found[name] = cut_query(source, cut)
        if source.tiles is not None:
            found[tiles_name(name)] = computed_tiles(source, cut)
    return found
