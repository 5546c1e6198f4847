"""The stages in order: the program's table of contents.

    features -> export -> train -> registry -> deploy -> batch -> monitor

(``serve`` answers all the time and is no step of a run; ``schedule`` starts runs.) A stage that has finished is in the ledger with
what it handed down; it is found there, not done again. A run that was killed is therefore continued by starting it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol

from app.batch.plan import plan_batch
from app.batch.run import BatchResult, run_batch
from app.deploy.live import live_uri, read_live
from app.deploy.plan import DeployPlan, plan_deploy
from app.deploy.run import Deployment, run_deploy
from app.errors import CallerError
from app.export.manifest import Export
from app.export.plan import UnloadPlan, plan_export
from app.export.run import run_export
from app.features.observe import observe
from app.features.plan import plan_features
from app.features.run import refuse_changed_sources, run_features
from app.features.sources import check_sources, source_state
from app.features.training_set import FeatureSet
from app.monitor.plan import plan_monitor
from app.monitor.run import DriftResult, run_monitor
from app.ports import HostingService, ObjectStore, ServiceControl, TrainingService, Warehouse
from app.registry.artifact import fetched
from app.registry.run import run_registry, versions_of
from app.registry.versions import RegisteredVersion
from app.runs import Ledger, Run, definition_fingerprint, digest, now
from app.settings import PlatformSettings
from app.spec import PipelineFile
from app.sql import Name
from app.train.plan import TrainedModel, plan_train
from app.train.run import run_train


@dataclass(frozen=True)
class World:
    """The outside, as the stages reach it."""

    platform: PlatformSettings
    warehouse: Warehouse
    store: ObjectStore
    training: TrainingService
    hosting: HostingService
    service: ServiceControl


class Progress(Protocol):
    """Who shows what happens while it happens."""

    def begin(self, stage: str) -> None:
        """A stage is looked at."""

    def tell(self, text: str) -> None:
        """It says what it is doing."""

    def end(self, done: Finished) -> None:
        """It has finished, now or earlier."""


@dataclass(frozen=True)
class Finished:
    """A finished stage. ``found``: it was in the ledger already. ``seconds`` are those of this look at it."""

    stage: str
    result: Any
    seconds: float
    found: bool


@dataclass
class Context:
    """One run under way: what it is of, what it reaches, and what its stages handed down so far."""

    file: PipelineFile
    run: Run
    world: World
    tell: Callable[[str], None] = lambda _: None
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def stage_name(self) -> Name:
        """The external stage over the bucket."""
        return Name.parse(self.world.platform.stage)


def _features(context: Context) -> FeatureSet:
    warehouse, pipeline = context.world.warehouse, context.file.pipeline
    plan = plan_features(pipeline, observe(warehouse, context.file, context.run))
    features = run_features(plan, warehouse, context.run, context.tell)
    refuse_changed_sources(plan, pipeline.sources, warehouse, context.run)
    return features


def export_plan(context: Context, features: FeatureSet) -> UnloadPlan:
    """The unload of the training set."""
    classification = context.file.pipeline.training.objective.startswith("binary:")
    return plan_export(features, context.run, context.world.platform.bucket, context.stage_name, classification)


def _export(context: Context) -> Export:
    plan = export_plan(context, context.results["features"])
    return run_export(plan, context.world.warehouse, context.world.store)


def _train(context: Context) -> TrainedModel:
    platform, export = context.world.platform, context.results["export"]
    request = plan_train(context.file.pipeline, context.run, export.uri, platform.bucket)
    return run_train(request, context.world.training, platform.poll_s, context.tell)


def _registry(context: Context) -> RegisteredVersion:
    results, world = context.results, context.world
    exported = results["export"].made_contract()
    return run_registry(context.file.pipeline, context.run, results["train"], exported, world.warehouse, world.store)


def deploy_to(world: World, plan: DeployPlan, tell: Callable[[str], None]) -> Deployment:
    """Apply ``plan`` by ``world``'s adapters."""
    platform = world.platform
    return run_deploy(
        plan,
        world.warehouse,
        world.store,
        world.hosting,
        world.service,
        platform.poll_s,
        platform.endpoint_timeout_s,
        tell,
    )


def _deploy(context: Context) -> Deployment:
    world, platform = context.world, context.world.platform
    others = versions_of(context.file.pipeline.name, world.warehouse)
    standing = read_live(world.store, live_uri(platform.bucket, context.file.pipeline.name))
    plan = plan_deploy(context.file.pipeline, context.results["registry"], others, standing, platform)
    return deploy_to(world, plan, context.tell)


def _batch(context: Context) -> BatchResult:
    pipeline, results, world = context.file.pipeline, context.results, context.world
    plan = plan_batch(
        pipeline, context.run, results["features"], results["registry"], world.platform.bucket, context.stage_name
    )
    return run_batch(plan, pipeline.batch.table, world.warehouse, world.store, context.tell)


def _monitor(context: Context) -> DriftResult:
    results, world = context.results, context.world
    version: RegisteredVersion = results["registry"]
    with fetched(world.store, version.artifact_uri, version.artifact_sha256) as artifact:
        baseline = artifact.json("baseline.json")
    threshold = context.file.pipeline.monitoring.drift.psi
    plan = plan_monitor(context.run, results["features"], version, baseline, threshold, now())
    return run_monitor(plan, world.warehouse)


@dataclass(frozen=True)
class Stage:
    """``kind``: the type of what it hands down. ``needs``: the stages whose values it uses."""

    kind: type[Any]
    act: Callable[[Context], Any]
    needs: tuple[str, ...] = ()


STAGES: Mapping[str, Stage] = {
    "features": Stage(FeatureSet, _features),
    "export": Stage(Export, _export, ("features",)),
    "train": Stage(TrainedModel, _train, ("export",)),
    "registry": Stage(RegisteredVersion, _registry, ("export", "train")),
    "deploy": Stage(Deployment, _deploy, ("registry",)),
    "batch": Stage(BatchResult, _batch, ("features", "registry")),
    "monitor": Stage(DriftResult, _monitor, ("features", "registry")),
}


def look_up_run(file: PipelineFile, warehouse: Warehouse, logical_date: date | None = None) -> Run:
    """The run that this pipeline, date and data make: as begun before, or as it would begin now. Writes nothing."""
    pipeline = file.pipeline
    day = logical_date or pipeline.logical_date or datetime.now(UTC).date()
    check_sources(warehouse, pipeline.sources)
    at = datetime.combine(day, datetime.min.time())
    data = digest(source_state(warehouse, pipeline.sources, at))
    return Ledger(warehouse).look_up(pipeline.name, day, definition_fingerprint(file), data)


def run_stages(
    context: Context, progress: Progress, first: str = "features", last: str = "monitor", again: bool = False
) -> list[Finished]:
    """Run the stages from ``first`` to ``last``. ``again``: do those stages again even where the ledger has them.

    Raises CallerError where a stage before ``first`` has not finished but its value is needed.
    """
    chosen = stages_between(first, last)
    ledger = Ledger(context.world.warehouse)
    ledger.begin(context.run)
    names = list(STAGES)
    load_results(context, ledger, names[: names.index(first)])
    _require(context, chosen)
    context.tell = progress.tell
    return [_step(context, ledger, progress, name, again) for name in chosen]


def stages_between(first: str, last: str) -> list[str]:
    """The stages from ``first`` to ``last``. Raises CallerError for a stage that is none, or the wrong order."""
    names = list(STAGES)
    for name in (first, last):
        if name not in names:
            raise CallerError(f"there is no stage {name}; the stages are {', '.join(names)}")
    if names.index(first) > names.index(last):
        raise CallerError(f"--from {first} comes after --to {last}; the order is {', '.join(names)}")
    return names[names.index(first) : names.index(last) + 1]


def load_results(context: Context, ledger: Ledger, names: list[str]) -> None:
    """Take from the ledger what these stages handed down, where they have finished."""
    for name in names:
        result = ledger.find(context.run, name, STAGES[name].kind)
        if result is not None:
            context.results[name] = result


def _require(context: Context, chosen: list[str]) -> None:
    missing = {
        need for name in chosen for need in STAGES[name].needs if need not in chosen and need not in context.results
    }
    if missing:
        ordered = [name for name in STAGES if name in missing]
        raise CallerError(
            f"run {context.run.id} has not finished {', '.join(ordered)}, which {chosen[0]} needs; "
            f"run `snowsage run {context.file.folder} --to {ordered[-1]}` first"
        )


def _step(context: Context, ledger: Ledger, progress: Progress, name: str, again: bool) -> Finished:
    started, stage = time.monotonic(), STAGES[name]
    progress.begin(name)
    result = None if again else ledger.find(context.run, name, stage.kind)
    found = result is not None
    if not found:
        result = stage.act(context)
        ledger.record(context.run, name, result, time.monotonic() - started)
    context.results[name] = result
    done = Finished(name, result, time.monotonic() - started, found)
    progress.end(done)
    return done
