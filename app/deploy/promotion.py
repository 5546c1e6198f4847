"""Changes what is live outside of a run: promotes a registered version for all entities or a share of them, or rolls back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.deploy.experiment import plan_experiment
from app.deploy.live import LiveVersion
from app.deploy.plan import DeployPlan, plan_deploy
from app.deploy.stage import apply, check_owners, live_in, overloads_in
from app.errors import CallerError
from app.ownership import claim_folder, read_home
from app.registry.run import versions_of
from app.registry.versions import RegisteredVersion, Version
from app.runs.stage import Tell, World
from app.spec import PipelineFile


@dataclass(frozen=True)
class Changed:
    """What is live now. ``shares``: the share of the entities that each version answers; 1 without an experiment."""

    model: str
    shares: Mapping[str, float]


Live = Callable[[Changed], None]


def promote(
    file: PipelineFile, world: World, version: str, share: float | None, tell: Tell, live: Live = lambda _: None
) -> Changed:
    """Put ``version`` live: alone, or for ``share`` of the entities next to the live version.

    ``live``: called once the version answers, before the queries of the previous one are waited for.
    """
    _check_owners(file, world)
    known = versions_of(file.pipeline.name, world.warehouse)
    chosen = _named(version, known, file)
    standing = live_in(world, file.pipeline.name)
    if share is None:
        plan = plan_deploy(file.pipeline, chosen, overloads_in(world, file.pipeline), standing, world.platform)
    else:
        plan = plan_experiment(file.pipeline, chosen, standing, share, world.platform)
    return _deploy(plan, world, "promote", tell, live)


def rollback(file: PipelineFile, world: World, tell: Tell, live: Live = lambda _: None) -> Changed:
    """End an experiment with the version that was live before it; without one, return to the newest older version that was live."""
    _check_owners(file, world)
    known = versions_of(file.pipeline.name, world.warehouse)
    standing = live_in(world, file.pipeline.name)
    if standing is None:
        raise CallerError(f"no version of {file.pipeline.name} is live; run `snowsage deploy` first")
    version = standing.version if standing.shares else _before(standing, known)
    overloads = overloads_in(world, file.pipeline)
    plan = plan_deploy(file.pipeline, _named(version, known, file), overloads, standing, world.platform)
    return _deploy(plan, world, "rollback", tell, live)


def _check_owners(file: PipelineFile, world: World) -> None:
    claim_folder(world.store, world.platform.bucket, read_home(world.warehouse, file.pipeline.name))
    check_owners(file.pipeline, world)


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


def _deploy(plan: DeployPlan, world: World, by_hand: str, tell: Tell, live: Live) -> Changed:
    plan = replace(plan, live=replace(plan.live, by_hand=by_hand))
    changed = Changed(plan.live.model, plan.live.versions)
    apply(plan, world, tell, lambda: live(changed))
    return changed
