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
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app.batch.stage import STAGE as BATCH
from app.deploy.stage import STAGE as DEPLOY
from app.errors import CallerError
from app.export.stage import STAGE as EXPORT
from app.features.stage import STAGE as FEATURES
from app.monitor.stage import STAGE as MONITOR
from app.ownership import claim_folder, mark_folder, read_home
from app.registry.stage import STAGE as REGISTRY
from app.runs.identity import Run, definition_fingerprint, digest, query_tag
from app.runs.lease import RENEW_S, Lease, held, lease_uri
from app.runs.ledger import Ledger
from app.runs.stage import Context, ResultMissing, Seen, Stage
from app.train.stage import STAGE as TRAIN

if TYPE_CHECKING:
    from app.ports import Warehouse
    from app.spec import PipelineFile

Stages = Sequence[Stage[Any, Any]]

STAGES: Stages = (FEATURES, EXPORT, TRAIN, REGISTRY, DEPLOY, BATCH, MONITOR)


@dataclass(frozen=True)
class Finished:
    """A finished stage. ``found``: the ledger had its result, and it still holds. ``seconds``: time spent on it in this process.

    ``note``: what the world said about a result from the ledger.
    """

    stage: Stage[Any, Any]
    result: Any
    seconds: float
    found: bool
    note: str = ""


@dataclass(frozen=True)
class Explained:
    """A stage in a dry run. ``state``: its result is found, it is new, or its plan needs a result that is missing.

    ``what``: in one sentence. ``details``: statements, requests and files of a new one.
    """

    state: Literal["found", "new", "unknown"]
    what: str
    note: str = ""
    details: tuple[str, ...] = ()


class Progress(Protocol):
    """Receives what a run does while it does it."""

    def begin(self, stage: str) -> None:
        """A stage starts."""

    def tell(self, text: str) -> None:
        """The present step of the stage."""

    def end(self, done: Finished) -> None:
        """The stage has finished, now or in an earlier run."""


def look_up_run(
    file: PipelineFile, warehouse: Warehouse, logical_date: date | None = None, rebuilds: datetime | None = None
) -> Run:
    """The run of this pipeline, date and data: as it was started before, or as it would start now. Writes nothing.

    ``rebuilds``: the run takes the features that the store held at this time, whatever the sources hold now.
    """
    from app.features.sources import check_sources, source_state

    pipeline = file.pipeline
    day = logical_date or pipeline.logical_date or (rebuilds or datetime.now(UTC)).date()
    check_sources(warehouse, pipeline.sources, file.at)
    at = datetime.combine(day, datetime.min.time())
    data = digest({"known_at": rebuilds}) if rebuilds else digest(source_state(warehouse, pipeline.sources, at))
    return Ledger(warehouse).look_up(pipeline.name, day, definition_fingerprint(file), data, rebuilds)


def run_stages(
    context: Context,
    progress: Progress,
    first: str = STAGES[0].name,
    last: str = STAGES[-1].name,
    *,
    again: bool = False,
    stages: Stages = STAGES,
    renew_s: float = RENEW_S,
) -> list[Finished]:
    """Run the stages from ``first`` to ``last``. ``again``: run them even if the ledger has their results.

    The process has the pipeline's lease meanwhile, and renews it every ``renew_s`` seconds.

    Raises CallerError if a chosen stage needs the result of an earlier one that has not finished, RunInProgress if another process
    runs the pipeline.
    """
    chosen = stages_between(first, last, stages)
    world, pipeline = context.world, context.run.pipeline
    context.asked = again
    context.stages = tuple(stage.name for stage in chosen)
    check_owners(context, chosen, write=True)
    work = f"run {context.run.id}, {first} to {last}" if first != last else f"run {context.run.id}, {first}"
    with held(world.store, lease_uri(world.platform.bucket, pipeline), work, renew_s) as lease:
        return _run_leased(context, lease, progress, chosen, again, stages)


def _run_leased(
    context: Context, lease: Lease, progress: Progress, chosen: Stages, again: bool, stages: Stages
) -> list[Finished]:
    ledger = Ledger(context.world.warehouse)
    context.run = ledger.begin(context.run)
    _load_results(context, ledger, stages[: stages.index(chosen[0])], chosen)
    _require(context, chosen, stages)

    def tell(text: str) -> None:
        lease.check()  # stages tell before each of their steps
        progress.tell(text)

    context.tell = tell
    finished, reached = [], False
    for index, stage in enumerate(chosen):
        lease.check()
        if stage.reach and not reached:
            _reach(context, ledger, chosen[index:])
            reached = True
        finished.append(_step(context, ledger, progress, stage, again))
    return finished


def _reach(context: Context, ledger: Ledger, chosen: Stages) -> None:
    """Ask for what the unfinished stages need outside."""
    for stage in chosen:
        if stage.reach and ledger.find(context.run, stage.name, stage.result) is None:
            stage.reach(context)


def explain_stages(
    context: Context, first: str, last: str, *, again: bool = False, stages: Stages = STAGES
) -> dict[str, Explained]:
    """By name, each stage from ``first`` to ``last`` as a dry run shows it. Writes nothing, not even the ledger.

    A stage that needs a result that does not exist yet says so. ``again``: as in :func:`run_stages`.
    """
    chosen = stages_between(first, last, stages)
    context.asked = again
    context.stages = tuple(stage.name for stage in chosen)
    check_owners(context, chosen, write=False)
    ledger, explained = Ledger(context.world.warehouse), {}
    for stage in stages[: stages.index(chosen[-1]) + 1]:
        seen = Seen(None) if again and stage in chosen else _look(context, ledger, stage)
        if seen.result is not None:
            context.results[stage.name] = seen.result
            plan = Explained("found", stage.summarize(seen.result).what, seen.note)
        elif stage in chosen or stage.preview:
            plan = _explain(context, stage, seen.note)
        if stage in chosen:
            explained[stage.name] = plan
    return explained


def check_owners(context: Context, chosen: Stages, *, write: bool) -> None:
    """Raise CallerError if a stage would replace an object of another pipeline or of someone else.

    ``write``: mark the pipeline's folder on S3 if it has no owner yet.
    """
    world, bucket = context.world, context.world.platform.bucket
    home = read_home(world.warehouse, context.file.pipeline.name)
    unmarked = claim_folder(world.store, bucket, home)
    for stage in chosen:
        if stage.check:
            stage.check(context)
    if unmarked and write:
        mark_folder(world.store, bucket, home)


def stages_between(first: str, last: str, stages: Stages = STAGES) -> Stages:
    """The stages from ``first`` to ``last``. Raises CallerError for an unknown stage or the wrong order."""
    names = [stage.name for stage in stages]
    for name in (first, last):
        if name not in names:
            raise CallerError(f"there is no stage {name}; the stages are {', '.join(names)}")
    if names.index(first) > names.index(last):
        raise CallerError(f"--from {first} comes after --to {last}; the order is {', '.join(names)}")
    return stages[names.index(first) : names.index(last) + 1]


def _load_results(context: Context, ledger: Ledger, stages: Stages, chosen: Stages) -> None:
    """The results of earlier stages; those that a chosen stage needs are compared with the world."""
    needed = {need.name for stage in chosen for need in stage.needs}
    for stage in stages:
        if stage.name in needed:
            result = _look(context, ledger, stage).result
        else:
            result = ledger.find(context.run, stage.name, stage.result)
        if result is not None:
            context.results[stage.name] = result


def _look(context: Context, ledger: Ledger, stage: Stage[Any, Any]) -> Seen[Any]:
    """The recorded result of a stage as far as it still holds."""
    recorded = ledger.find(context.run, stage.name, stage.result)
    if recorded is None or stage.look is None:
        return Seen(recorded)
    try:
        return stage.look(context, recorded)
    except ResultMissing as missing:
        return Seen(None, f"{missing.stage} has not finished")


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
    context.world.warehouse.tag(query_tag(context.run, stage.name))
    seen = Seen(None) if again else _look(context, ledger, stage)
    found, result = seen.result is not None, seen.result
    if not found:
        if seen.note:
            progress.tell(seen.note)
        result = stage.run(context, stage.plan(context))
        ledger.record(context.run, stage.name, result, time.monotonic() - started)
    context.results[stage.name] = result
    done = Finished(stage, result, time.monotonic() - started, found, seen.note)
    progress.end(done)
    return done


def _explain(context: Context, stage: Stage[Any, Any], note: str) -> Explained:
    try:
        plan = stage.plan(context)
    except ResultMissing as missing:
        return Explained("unknown", f"planned once {missing.stage} has finished", note)
    if stage.preview:
        context.results[stage.name] = stage.preview(context, plan)
    outline = stage.outline(context, plan) if stage.outline else stage.help
    return Explained("new", outline, note, tuple(stage.explain(context, plan)))
