"""The stages of a run in order, and the functions that run and explain them.

    features -> export -> train -> registry -> deploy -> batch -> monitor

``serve`` runs all the time and is not part of a run. The ledger holds the result of each finished stage; a run takes it from there
instead of repeating the stage. To continue a run that was killed, start it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from app.batch.stage import STAGE as BATCH
from app.deploy.stage import STAGE as DEPLOY
from app.errors import CallerError
from app.export.stage import STAGE as EXPORT
from app.features.stage import STAGE as FEATURES
from app.monitor.stage import STAGE as MONITOR
from app.registry.stage import STAGE as REGISTRY
from app.runs.identity import Run, definition_fingerprint, digest
from app.runs.ledger import Ledger
from app.runs.stage import Context, ResultMissing, Stage
from app.train.stage import STAGE as TRAIN

if TYPE_CHECKING:
    from app.ports import Warehouse
    from app.spec import PipelineFile

Stages = Sequence[Stage[Any, Any]]

STAGES: Stages = (FEATURES, EXPORT, TRAIN, REGISTRY, DEPLOY, BATCH, MONITOR)


@dataclass(frozen=True)
class Finished:
    """A finished stage. ``found``: the ledger had its result. ``seconds``: time spent on it in this process."""

    stage: Stage[Any, Any]
    result: Any
    seconds: float
    found: bool


class Progress(Protocol):
    """Receives what a run does while it does it."""

    def begin(self, stage: str) -> None:
        """A stage starts."""

    def tell(self, text: str) -> None:
        """The present step of the stage."""

    def end(self, done: Finished) -> None:
        """The stage has finished, now or in an earlier run."""


def look_up_run(file: PipelineFile, warehouse: Warehouse, logical_date: date | None = None) -> Run:
    """The run of this pipeline, date and data: as it was started before, or as it would start now. Writes nothing."""
    from app.features.sources import check_sources, source_state

    pipeline = file.pipeline
    day = logical_date or pipeline.logical_date or datetime.now(UTC).date()
    check_sources(warehouse, pipeline.sources)
    at = datetime.combine(day, datetime.min.time())
    data = digest(source_state(warehouse, pipeline.sources, at))
    return Ledger(warehouse).look_up(pipeline.name, day, definition_fingerprint(file), data)


def run_stages(
    context: Context,
    progress: Progress,
    first: str = STAGES[0].name,
    last: str = STAGES[-1].name,
    *,
    again: bool = False,
    stages: Stages = STAGES,
) -> list[Finished]:
    """Run the stages from ``first`` to ``last``. ``again``: run them even if the ledger has their results.

    Raises CallerError if a chosen stage needs the result of an earlier one that has not finished.
    """
    chosen = stages_between(first, last, stages)
    ledger = Ledger(context.world.warehouse)
    ledger.begin(context.run)
    _load_results(context, ledger, stages[: stages.index(chosen[0])])
    _require(context, chosen, stages)
    context.tell = progress.tell
    return [_step(context, ledger, progress, stage, again) for stage in chosen]


def explain_stages(
    context: Context, first: str, last: str, *, again: bool = False, stages: Stages = STAGES
) -> dict[str, list[str]]:
    """By name, each stage from ``first`` to ``last`` as a dry run shows it. Writes nothing, not even the ledger.

    A stage that needs a result that does not exist yet says so. ``again``: as in :func:`run_stages`.
    """
    chosen = stages_between(first, last, stages)
    _load_results(context, Ledger(context.world.warehouse), stages)
    finished = {stage.name for stage in stages if stage.name in context.results and not (again and stage in chosen)}
    explained = {}
    for stage in stages[: stages.index(chosen[-1]) + 1]:
        if stage.name in finished:
            lines = ["finished before; found, not done again"]
        elif stage in chosen or stage.preview:
            lines = _explain(context, stage)
        if stage in chosen:
            explained[stage.name] = lines
    return explained


def stages_between(first: str, last: str, stages: Stages = STAGES) -> Stages:
    """The stages from ``first`` to ``last``. Raises CallerError for an unknown stage or the wrong order."""
    names = [stage.name for stage in stages]
    for name in (first, last):
        if name not in names:
            raise CallerError(f"there is no stage {name}; the stages are {', '.join(names)}")
    if names.index(first) > names.index(last):
        raise CallerError(f"--from {first} comes after --to {last}; the order is {', '.join(names)}")
    return stages[names.index(first) : names.index(last) + 1]


def _load_results(context: Context, ledger: Ledger, stages: Stages) -> None:
    for stage in stages:
        result = ledger.find(context.run, stage.name, stage.result)
        if result is not None:
            context.results[stage.name] = result


def _require(context: Context, chosen: Stages, stages: Stages) -> None:
    names = {stage.name for stage in chosen}
    missing = {
        need.name
        for stage in chosen
        for need in stage.needs
        if need.name not in names and need.name not in context.results
    }
    if missing:
        ordered = [stage.name for stage in stages if stage.name in missing]
        raise CallerError(
            f"run {context.run.id} has not finished {', '.join(ordered)}, which {chosen[0].name} needs; "
            f"run `snowsage run {context.file.folder} --to {ordered[-1]}` first"
        )


def _step(context: Context, ledger: Ledger, progress: Progress, stage: Stage[Any, Any], again: bool) -> Finished:
    started = time.monotonic()
    progress.begin(stage.name)
    result = None if again else ledger.find(context.run, stage.name, stage.result)
    found = result is not None
    if not found:
        result = stage.run(context, stage.plan(context))
        ledger.record(context.run, stage.name, result, time.monotonic() - started)
    context.results[stage.name] = result
    done = Finished(stage, result, time.monotonic() - started, found)
    progress.end(done)
    return done


def _explain(context: Context, stage: Stage[Any, Any]) -> list[str]:
    try:
        plan = stage.plan(context)
    except ResultMissing as missing:
        return [f"not known yet: it depends on the result of {missing.stage}"]
    if stage.preview:
        context.results[stage.name] = stage.preview(context, plan)
    return stage.explain(context, plan)
