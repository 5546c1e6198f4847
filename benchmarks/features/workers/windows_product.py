"""Trailing windows at several times by the product, from the orders or from their daily tiles."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import duckdb
from product import defined, save, with_orders
from protocol import Commands, serve

from app.features.run import Progress, prepare_store, read_stored_tiles, write_views
from app.features.store import view_table
from app.features.tiles.refresh import plan_tiles
from app.features.upkeep.backfill import BackfillPlan, plan_backfill
from app.runs.identity import Run, now
from app.spec import PipelineFile
from app.spec.schema.data import Tiles

_TILES = Tiles(key=("CUSTOMER_ID",), measures=("AMOUNT",))


def load(job: dict[str, Any]) -> tuple[str, Commands]:
    warehouse = with_orders(job)
    file = _tiled(defined(f"definitions.py:windows_of_{job['windows_of']}"))
    times = [datetime.fromisoformat(each) for each in job["times"]]
    run = Run(file.pipeline.name, "benchmark", times[-1].date(), now())
    plans: dict[str, BackfillPlan] = {}

    def plan() -> None:
        plans["views"] = plan_backfill(warehouse, file, times)

    def tiles() -> None:
        made = plans["views"]
        missing = [part for view in made.views for part in view.missing]
        found = plan_tiles(warehouse, run.pipeline, file.pipeline.sources, missing, run.known_at)
        plans["views"] = replace(made, views=tuple(read_stored_tiles(warehouse, run, made.views, found)))

    def compute() -> None:
        prepare_store(warehouse, plans["views"])
        write_views(warehouse, run, plans["views"].views, Progress(0, lambda _: None), now(), has_lineage=False)

    def write() -> None:
        # One number for a row: the customer's, and that of the time.
        time = " ".join(f"WHEN '{each}' THEN {index}" for index, each in enumerate(times))
        named = ", ".join(f'{name.upper()} AS "{name}"' for name in (*job["counts"], *job["floats"]))
        table = view_table(file.pipeline.features[0].view).sql
        save(f'SELECT CUSTOMER_ID * 100 + CASE AS_OF {time} END AS "row_id", {named} FROM {table}', job["result"])

    commands = {"plan": plan, "tiles": tiles, "compute": compute, "write": write}
    return f"snowsage on DuckDB {duckdb.__version__}", commands


def _tiled(file: PipelineFile) -> PipelineFile:
    sources = {name: source.model_copy(update={"tiles": _TILES}) for name, source in file.pipeline.sources.items()}
    return replace(file, pipeline=file.pipeline.model_copy(update={"sources": sources}))


if __name__ == "__main__":
    serve(load)
