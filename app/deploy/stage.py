"""The deploy stage as a value, and two steps that it shares with ``promote`` and ``rollback``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from app.deploy.result import Deployment
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, Stage, Summary, Tell, World

if TYPE_CHECKING:
    from app.deploy.live import LiveVersion
    from app.deploy.plan import DeployPlan


def live_in(world: World, model: str) -> LiveVersion | None:
    """The live record of ``model``; None if no version is live."""
    from app.deploy.live import live_uri, read_live

    return read_live(world.store, live_uri(world.platform.bucket, model))


def apply(plan: DeployPlan, world: World, tell: Tell) -> Deployment:
    """Apply ``plan`` with the adapters of ``world``."""
    from app.deploy.run import run_deploy

    return run_deploy(
        plan,
        world.warehouse,
        world.store,
        world.hosting,
        world.service,
        world.platform.poll_s,
        world.platform.endpoint_timeout_s,
        tell,
    )


def _plan(context: Context) -> DeployPlan:
    from app.deploy.plan import plan_deploy
    from app.registry.run import versions_of

    pipeline, world, version = context.file.pipeline, context.world, context.result(REGISTRY)
    others = versions_of(pipeline.name, world.warehouse)
    return plan_deploy(pipeline, version, others, live_in(world, pipeline.name), world.platform)


def _run(context: Context, plan: DeployPlan) -> Deployment:
    return apply(plan, context.world, context.tell)


def _explain(_: Context, plan: DeployPlan) -> list[str]:
    endpoint = [f"{key} = {value}" for key, value in asdict(plan.endpoint).items()] if plan.endpoint else []
    return [*endpoint, f"write {plan.live_uri}", *(item.shown for item in plan.functions), plan.probe.shown]


def _summarize(result: Deployment) -> Summary:
    what = f"version {result.version} in service, a row came back through SQL"
    return Summary(what, None, f"endpoint {result.endpoint}")


STAGE = Stage(
    name="deploy",
    help="Make the run's version live: endpoint, service, SQL functions.",
    result=Deployment,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(REGISTRY,),
)
