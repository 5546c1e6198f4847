"""Brings the stored tiles up to date before slices are written from them.

A day is stale if the source now holds other rows of it than its latest set was made of: a new day, or one with late, changed or
deleted rows. Only stale days are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from app.errors import NotFound
from app.features.store import SlicePlan
from app.features.tiles.computed import computed_tiles, tile_cuts
from app.features.tiles.statements import CREATE_LINEAGE, DayState, TiledSource
from app.ownership import SchemaObject, claim, find_objects
from app.ports import Warehouse
from app.spec.schema import Source


@dataclass(frozen=True)
class TilePlan:
    """Tiles to append. ``cut``: the latest time at which slices cut the source. ``stale``: the days to compute, ascending."""

    tiled: TiledSource
    cut: datetime
    stale: tuple[DayState, ...]
    exists: bool


def plan_tiles(
    warehouse: Warehouse, pipeline: str, sources: Mapping[str, Source], slices: Sequence[SlicePlan], known_at: datetime
) -> tuple[TilePlan, ...]:
    """What the tiles that ``slices`` read lack, as known at ``known_at``. Raises CallerError for a table of another pipeline."""
    last: dict[TiledSource, datetime] = {}
    for name, source in sources.items():
        cuts = [cut for part in slices for cut in tile_cuts(part.query, source)] if source.tiles else []
        if cuts:
            last[TiledSource(pipeline, name, source)] = max(cuts)
    existing = find_objects(warehouse, [tiled.table for tiled in last])
    return tuple(_plan(warehouse, tiled, cut, existing.get(tiled.table), known_at) for tiled, cut in last.items())


def _plan(
    warehouse: Warehouse, tiled: TiledSource, cut: datetime, found: SchemaObject | None, known_at: datetime
) -> TilePlan:
    claim(
        tiled.pipeline, found.existing(tiled.table) if found else None, "give the pipeline or the source another name"
    )
    recorded = _recorded(warehouse, tiled, known_at) if found else {}
    states = {state.day: state for state in (_state(*row) for row in warehouse.run(tiled.states(cut)).rows)}
    stale = [state for day, state in states.items() if recorded.get(day) != state]
    gone = [
        DayState(day, 0, "0")
        for day, state in recorded.items()
        if day not in states and day < cut.date() and (state is None or state.rows)
    ]
    return TilePlan(tiled, cut, tuple(sorted([*stale, *gone], key=lambda state: state.day)), found is not None)


def refresh_tiles(
    warehouse: Warehouse,
    plans: Sequence[TilePlan],
    known_at: datetime,
    created_at: datetime,
    tell: Callable[[str], None],
) -> None:
    """Append the stale days' tiles, known at ``known_at``; the lineage is written last."""
    if plans:
        warehouse.run(CREATE_LINEAGE)
    for plan in plans:
        if not plan.exists:
            warehouse.run(plan.tiled.create(plan.cut))
        if not plan.stale:
            continue
        days = [state.day for state in plan.stale]
        tell(f"computing tiles of {plan.tiled.name} for {len(days):,} days")
        if plan.exists:
            warehouse.run(plan.tiled.remove(days, known_at))
        warehouse.run(plan.tiled.append(days, plan.cut, known_at))
        warehouse.run(plan.tiled.record(plan.stale, known_at, created_at))


def read_stored(part: SlicePlan, plans: Sequence[TilePlan], known_at: datetime) -> SlicePlan:
    """A slice whose query reads the tiles known at ``known_at`` from their tables instead of computing them."""
    query = part.query
    for plan in plans:
        source = plan.tiled.source
        for cut in tile_cuts(query, source):
            query = query.replace(f"({computed_tiles(source, cut)})", f"({plan.tiled.stored(cut, known_at)})")
    return replace(part, query=query)


def _recorded(warehouse: Warehouse, tiled: TiledSource, known_at: datetime) -> dict[date, DayState | None]:
    """The state that each day's latest set was made of; None where the table holds other rows than were written."""
    try:
        rows = warehouse.run(tiled.recorded(known_at)).rows
    except NotFound:  # the lineage was dropped: all days are stale
        return {}
    return {day: _state(day, count, row_hash) if intact else None for day, count, row_hash, intact in rows}


def _state(day: date, rows: object, row_hash: object) -> DayState:
    return DayState(day, int(str(rows)), str(row_hash))
