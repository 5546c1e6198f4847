"""Changes what is live outside of a run: promotes a registered version for all entities or a share of them, or rolls back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.deploy.experiment import plan_experiment
from app.deploy.live import LiveVersion
from app.deploy.plan import DeployPlan, plan_deploy
from app.deploy.stage import apply, live_in
from app.errors import CallerError
from app.registry.run import versions_of
from app.registry.versions import RegisteredVersion, Version
from app.runs.stage import Tell, World
from app.spec import PipelineFile


@dataclass(frozen=True)
class Changed:
    """What is live now. ``shares``: the share of the entities that each version answers; 1 without an experiment."""

    model: str
    shares: Mapping[str, float]


def promote(file: PipelineFile, world: World, version: str, share: float | None, tell: Tell) -> Changed:
    """Put ``version`` live: alone, or for ``share`` of the entities next to the live version."""
    known = versions_of(file.pipeline.name, world.warehouse)
    chosen = _named(version, known, file)
    standing = live_in(world, file.pipeline.name)
    if share is None:
        plan = plan_deploy(file.pipeline, chosen, known, standing, world.platform)
    else:
        plan = plan_experiment(file.pipeline, chosen, standing, share, world.platform)
    return _deploy(plan, world, tell)


def rollback(file: PipelineFile, world: World, tell: Tell) -> Changed:
    """End an experiment with the version that was live before it; without one, return to the newest older version that was live."""
    known = versions_of(file.pipeline.name, world.warehouse)
    standing = live_in(world, file.pipeline.name)
    if standing is None:
        raise CallerError(f"no version of {file.pipeline.name} is live; run `snowsage deploy` first")
    version = standing.version if standing.shares else _before(standing, known)
    plan = plan_deploy(file.pipeline, _named(version, known, file), known, standing, world.platform)
    return _deploy(plan, world, tell)


def _before(standing: LiveVersion, known: list[RegisteredVersion]) -> str:
    now = Version.parse(standing.version)
    numbers = [Version.parse(item.version) for item in known if item.stage == "archived"]
    if not (older := [number for number in numbers if number < now]):
        raise CallerError(
            f"no version of {standing.model} was live before {standing.version}; there is nothing to roll back to"
        )
    return str(max(older))


def _named(version: str, known: list[RegisteredVersion], file: PipelineFile) -> RegisteredVersion:
    if found := next((item for item in known if item.version == version), None):
        return found
    listed = f"its versions are {', '.join(item.version for item in known)}" if known else "it has none yet"
    raise CallerError(f"{file.pipeline.name} has no version {version}; {listed}")


def _deploy(plan: DeployPlan, world: World, tell: Tell) -> Changed:
    apply(plan, world, tell)
    return Changed(plan.live.model, plan.live.versions)
