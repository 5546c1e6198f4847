"""Finds out why a slice could not be written, from counts, after the warehouse refused it."""

from __future__ import annotations

from app.errors import CallerError, SnowsageError
from app.features import store
from app.features.store import SlicePlan
from app.ports import Warehouse
from app.sql import Statement, identifier


def explain_refusal(
    warehouse: Warehouse, part: SlicePlan, key: tuple[str, ...], features: tuple[str, ...], error: CallerError
) -> CallerError:
    """The error of a slice that the warehouse refused to store, with the cause if counts show one."""
    where = f"view {part.view} as of {part.as_of:%Y-%m-%d}"
    counts = ", ".join(f"COUNT_IF({identifier(name)} IS NULL)" for name in key)
    try:
        (rows, *nulls), *_ = warehouse.run(Statement(f"SELECT COUNT(*), {counts} FROM (\n{part.query}\n)")).rows
        present = warehouse.describe(f"SELECT * FROM {store.view_table(part.view).sql}")
    except SnowsageError:
        return type(error)(f"{where}: {error}")
    if empty := [(name, int(count)) for name, count in zip(key, nulls, strict=True) if count]:
        shown = ", ".join(f"{name} is NULL in {count:,} of {int(rows):,} rows" for name, count in empty)
        conditions = " AND ".join(f"{name} IS NOT NULL" for name, _ in empty)
        return CallerError(
            f"{where}: {shown}, and an entity needs its key; leave those rows of the sources out: WHERE {conditions}"
        )
    known = {*key, *features, *store.RESERVED}
    if "NULL result" in str(error) and (others := [column.name for column in present if column.name not in known]):
        return CallerError(
            f"{where}: {store.view_table(part.view)} has the columns {', '.join(others)}, which the view does not return; if one "
            "of them is a key of an earlier entity, give the view another name, or drop that table if nothing else uses it"
        )
    return type(error)(f"{where}: {error}")
