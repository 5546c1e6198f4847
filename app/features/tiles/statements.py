"""The SQL of stored tiles: their table, its lineage, and the subquery that reads them.

The tiles of one source, day and ``KNOWN_AT`` are a set, which is complete when ``FEATURE_STORE.TILE_LINEAGE`` has its row. Late
rows give the whole day a new set with a later ``KNOWN_AT``; sets are never changed. Of each day, a query at ``known_at`` reads the
latest set that was known then, and so no entity that only an earlier set has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.features.sources import MODULUS
from app.features.store import KNOWN_AT, SCHEMA
from app.features.tiles.computed import computed_tiles, tile_columns, timed_rows
from app.ownership import comment
from app.runs.identity import digest
from app.spec.schema import Source, Tiles
from app.sql import Name, Statement, columns, identifier, literal, timestamp

LINEAGE = Name.of(SCHEMA, "TILE_LINEAGE")

_LINEAGE = {
    "TILES": "VARCHAR",
    "DAY": "DATE",
    KNOWN_AT: "TIMESTAMP_NTZ",
    "ROW_COUNT": "NUMBER",
    "ROW_HASH": "VARCHAR",
    "CREATED_AT": "TIMESTAMP_NTZ",
}

CREATE_LINEAGE = Statement(
    f"CREATE TABLE IF NOT EXISTS {LINEAGE.sql} (\n    "
    + ",\n    ".join(f"{name} {kind} NOT NULL" for name, kind in _LINEAGE.items())
    + "\n)"
)


@dataclass(frozen=True)
class DayState:
    """What the source holds of one UTC day: the number of rows with a key, and a hash over what tiles are made of."""

    day: date
    rows: int
    row_hash: str


@dataclass(frozen=True)
class TiledSource:
    """A source that declares tiles, by its short name in a pipeline."""

    pipeline: str
    name: str
    source: Source

    @property
    def table(self) -> Name:
        """``FEATURE_STORE.<PIPELINE>_<SOURCE>_TILES_<digest>``: other keys, measures or times are other tiles, and have a table of
        their own.
        """
        made_of = [self.source.table, self.source.event_time, self._tiles.key, self._tiles.measures]
        text = f"{self.pipeline.replace('-', '_')}_{self.name}_tiles_{digest(made_of)[:8]}"
        return Name.of(SCHEMA, text.upper())

    @property
    def _tiles(self) -> Tiles:
        assert self.source.tiles is not None
        return self.source.tiles

    @property
    def _columns(self) -> tuple[str, ...]:
        return tile_columns(self._tiles)

    def stored(self, cut: datetime, known_at: datetime) -> str:
        """The same rows, from the table: of each day before ``cut`` the latest set known at ``known_at``."""
        selected, day = ", ".join(f"t.{identifier(name)}" for name in self._columns), literal(cut.date().isoformat())
        return (
            f"SELECT {selected} FROM {self.table.sql} AS t JOIN (SELECT DAY, "
            f"{KNOWN_AT} FROM {LINEAGE.sql} WHERE TILES = {literal(self.table.last)} AND DAY < {day}::DATE "
            f"AND {KNOWN_AT} <= {timestamp(known_at)} QUALIFY ROW_NUMBER() OVER (PARTITION BY DAY ORDER BY {KNOWN_AT} DESC) = 1"
            f") AS l ON t.DAY = l.DAY AND t.{KNOWN_AT} = l.{KNOWN_AT}"
        )

    def states(self, cut: datetime) -> Statement:
        """(day, rows, hash) of each UTC day before ``cut``, from the source."""
        hashed = columns([*self._tiles.key, *self._tiles.measures])
        return Statement(
            f"SELECT EVENT_AT::DATE AS DAY, COUNT(*) AS ROW_COUNT, MOD(SUM(HASH({hashed}, EVENT_AT)), {MODULUS}) AS ROW_HASH\n"
            f"FROM {timed_rows(self.source, cut)} GROUP BY EVENT_AT::DATE ORDER BY DAY"
        )

    def recorded(self, known_at: datetime) -> Statement:
        """(day, rows, hash, whether the table holds them) of each day's latest set known at ``known_at``."""
        named = literal(self.table.last)
        return Statement(
            f"SELECT l.DAY, l.ROW_COUNT, l.ROW_HASH, l.ROW_COUNT = COALESCE(t.STORED, 0) AS INTACT\nFROM {LINEAGE.sql} AS l\n"
            f"LEFT JOIN (SELECT DAY, {KNOWN_AT}, SUM(N) AS STORED FROM {self.table.sql} GROUP BY DAY, {KNOWN_AT}) AS t\n"
            f"    ON t.DAY = l.DAY AND t.{KNOWN_AT} = l.{KNOWN_AT}\nWHERE l.TILES = {named} AND l.{KNOWN_AT} <= ?\n"
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY l.DAY ORDER BY l.{KNOWN_AT} DESC) = 1",
            (known_at,),
        )

    def create(self, cut: datetime) -> Statement:
        """The table, with the types that Snowflake gives sums and squares of the measured columns."""
        return Statement(
            f"CREATE TABLE IF NOT EXISTS {self.table.sql}\n"
            f"COMMENT = {literal(comment(self.pipeline, f'daily tiles of {self.name}'))}\n"
            f"AS SELECT {timestamp(cut)} AS {KNOWN_AT}, {columns(self._columns)}\n"
            f"FROM ({computed_tiles(self.source, cut)}) WHERE FALSE"
        )

    def remove(self, days: Sequence[date], known_at: datetime) -> Statement:
        """Delete what an earlier attempt of the same run wrote of ``days``."""
        return Statement(
            f"DELETE FROM {self.table.sql} WHERE {KNOWN_AT} = ? AND DAY IN (SELECT VALUE::DATE FROM {_LIST})",
            (known_at, _listed(days)),
        )

    def append(self, days: Sequence[date], cut: datetime, known_at: datetime) -> Statement:
        """Write a set of tiles for each of ``days``. By MERGE, so that two processes that write the same set leave it once."""
        first = datetime(min(days).year, min(days).month, min(days).day)
        named = (KNOWN_AT, *self._columns)
        same = " AND ".join(
            f"t.{identifier(name)} = s.{identifier(name)}" for name in (KNOWN_AT, *self._tiles.key, "DAY")
        )
        return Statement(
            f"MERGE INTO {self.table.sql} AS t\n"
            f"USING (SELECT ?::TIMESTAMP_NTZ AS {KNOWN_AT}, {columns(self._columns)}\n"
            f"FROM ({computed_tiles(self.source, cut, first)}) WHERE DAY IN (SELECT VALUE::DATE FROM {_LIST})) AS s\nON {same}\n"
            f"WHEN NOT MATCHED THEN INSERT ({columns(named)}) VALUES ({', '.join(f's.{identifier(name)}' for name in named)})",
            (known_at, _listed(days)),
        )

    def record(self, states: Sequence[DayState], known_at: datetime, created_at: datetime) -> Statement:
        """The lineage of the days' sets, which completes them."""
        days = [{"DAY": each.day.isoformat(), "ROW_COUNT": each.rows, "ROW_HASH": each.row_hash} for each in states]
        given = {"TILES": literal(self.table.last), KNOWN_AT: "?::TIMESTAMP_NTZ", "CREATED_AT": "?::TIMESTAMP_NTZ"}
        values = ", ".join(f"{given.get(name, f'f.VALUE:{name}::{kind}')} AS {name}" for name, kind in _LINEAGE.items())
        state = ("ROW_COUNT", "ROW_HASH", "CREATED_AT")
        return Statement(
            f"MERGE INTO {LINEAGE.sql} AS t\nUSING (SELECT {values} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s\n"
            f"ON t.TILES = s.TILES AND t.DAY = s.DAY AND t.{KNOWN_AT} = s.{KNOWN_AT}\n"
            f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{name} = s.{name}' for name in state)}\n"
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(_LINEAGE)}) VALUES ({', '.join(f's.{name}' for name in _LINEAGE)})",
            (known_at, created_at, json.dumps(days)),
        )


#: The days of a bind, a JSON list.
_LIST = "TABLE(FLATTEN(INPUT => PARSE_JSON(?)))"


def _listed(days: Sequence[date]) -> str:
    return json.dumps([day.isoformat() for day in days])
