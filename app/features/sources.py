"""The state of a pipeline's sources: the number of rows before a time, and a hash over them.

The state identifies runs and slices: equal states give equal features, and late rows give a new state. One statement reads all
sources at all times: it hashes the rows between two times once, and the hash of all rows before a time is the sum of these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import CallerError
from app.ports import ColumnType, Row, Warehouse
from app.spec.schema import Source
from app.sql import Name, Statement, identifier, literal, timestamp

#: Sums of hashes are kept below this prime, which fits into 64 bits.
MODULUS = 2**63 - 25


@dataclass(frozen=True)
class SourceStates:
    """``at``: for each time and source its table, and the number and hash of its rows before that time.

    ``spans``: for each source the first and the last event before the latest of the times; None if it has none.
    """

    at: Mapping[datetime, dict[str, dict[str, Any]]]
    spans: Mapping[str, tuple[datetime, datetime] | None]


def source_states(warehouse: Warehouse, sources: Mapping[str, Source], cuts: Collection[datetime]) -> SourceStates:
    """The state of all sources at each of ``cuts``, by one statement."""
    ascending = sorted(set(cuts))
    rows = warehouse.run(_intervals(sources, ascending)).rows
    by_source = {name: [row for row in rows if row[0] == name] for name in sources}
    at = {
        cut: {name: _state(source, by_source[name], index, cut) for name, source in sources.items()}
        for index, cut in enumerate(ascending)
    }
    return SourceStates(at, {name: _span(found) for name, found in by_source.items()})


def source_state(warehouse: Warehouse, sources: Mapping[str, Source], cut: datetime) -> dict[str, dict[str, Any]]:
    """For each source: its table, and the number and hash of its rows before ``cut``."""
    return source_states(warehouse, sources, [cut]).at[cut]


def states_query(sources: Mapping[str, Source], cut: datetime) -> Statement:
    """(source, 0, rows, sum of their hashes, ...) of all sources before ``cut``."""
    return _intervals(sources, [cut])


def _dotted(*keys: str | int) -> str:
    return ".".join(map(str, keys))


def check_sources(warehouse: Warehouse, sources: Mapping[str, Source], at: Callable[..., str] = _dotted) -> None:
    """Raise CallerError for a source that lacks its event-time column, NotFound for a table that does not exist.

    ``at``: the place of a key of the pipeline file, for the message.
    """
    times = [
        f"s{index}.{identifier(source.event_time)}" if source.event_time else "NULL"
        for index, source in enumerate(sources.values())
    ]
    tables = [f"{Name.parse(source.table).sql} AS s{index}" for index, source in enumerate(sources.values())]
    named = [f"{time} AS {identifier(name)}" for time, name in zip(times, sources, strict=True)]
    try:
        found = warehouse.describe(f"SELECT {', '.join(named)} FROM {', '.join(tables)}")
    except CallerError:
        _find_fault(warehouse, sources, at)
        raise
    for (name, source), column in zip(sources.items(), found, strict=True):
        _check_time(source, column, at("sources", name, "event_time"))


def _find_fault(warehouse: Warehouse, sources: Mapping[str, Source], at: Callable[..., str]) -> None:
    for name, source in sources.items():
        try:
            columns = warehouse.describe(f"SELECT * FROM {Name.parse(source.table).sql}")
        except CallerError as error:
            raise type(error)(f"{at('sources', name, 'table')}: {source.table} cannot be read: {error}") from error
        names = [column.name for column in columns]
        if source.event_time is not None and source.event_time not in names:
            raise CallerError(
                f"{at('sources', name, 'event_time')}: {source.table} has no column {source.event_time}; its columns are "
                f"{', '.join(names)}"
            )


def _check_time(source: Source, column: ColumnType, place: str) -> None:
    if source.event_time is not None and column.kind != "time":
        raise CallerError(f"{place}: {source.event_time} must be a DATE or TIMESTAMP column")


def _intervals(sources: Mapping[str, Source], cuts: list[datetime]) -> Statement:
    """(source, index of the first cut after the rows, rows, sum of their hashes, first event, last event) of each interval."""
    # Rows of a source without time are before each cut.
    cases = "WHEN EVENT_TIME IS NULL THEN 0 " if any(source.event_time is None for source in sources.values()) else ""
    cases += " ".join(f"WHEN EVENT_TIME < {timestamp(cut)} THEN {index}" for index, cut in enumerate(cuts))
    hashed = "\n    UNION ALL ".join(_hashed(name, source, cuts[-1]) for name, source in sources.items())
    return Statement(
        f"SELECT SOURCE_NAME, CASE {cases} END AS INTERVAL_INDEX,\n"
        f"    COUNT(*) AS ROW_COUNT, MOD(SUM(ROW_HASH), {MODULUS}) AS HASHED, MIN(EVENT_TIME) AS FIRST_EVENT,\n"
        "    MAX(EVENT_TIME) AS LAST_EVENT\n"
        f"FROM (\n    {hashed}\n)\nGROUP BY SOURCE_NAME, INTERVAL_INDEX"
    )


def _hashed(name: str, source: Source, cut: datetime) -> str:
    named = f"SELECT {literal(name)} AS SOURCE_NAME, HASH(*) AS ROW_HASH"
    table = Name.parse(source.table).sql
    if source.event_time is None:
        return f"{named}, NULL::TIMESTAMP_NTZ AS EVENT_TIME FROM {table}"
    time = f"{event_time(source.event_time)} AS EVENT_TIME"
    return f"{named}, {time} FROM {table} WHERE {identifier(source.event_time)} < {timestamp(cut)}"


def event_time(column: str) -> str:
    """A source's time as TIMESTAMP_NTZ in UTC, the time zone of the product's sessions."""
    # By way of TIMESTAMP_LTZ, since the direct cast of a TIMESTAMP_TZ drops its offset.
    return f"{identifier(column)}::TIMESTAMP_LTZ::TIMESTAMP_NTZ"


def _state(source: Source, intervals: list[Row], index: int, cut: datetime) -> dict[str, Any]:
    before = [row for row in intervals if int(row[1]) <= index]
    hashed = sum(int(row[3]) for row in before) % MODULUS
    return {
        "table": source.table,
        "rows": sum(int(row[2]) for row in before),
        "hash": str(hashed),
        "before": cut.isoformat(),
    }


def _span(intervals: list[Row]) -> tuple[datetime, datetime] | None:
    events = [row[4:6] for row in intervals if row[4] is not None]
    return (min(first for first, _ in events), max(last for _, last in events)) if events else None
