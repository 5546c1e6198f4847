"""The deploy stage as a value, and two steps that it shares with ``promote`` and ``rollback``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.deploy.result import Deployment
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, Seen, Stage, Summary, Tell, World

if TYPE_CHECKING:
    from app.deploy.live import LiveVersion
    from app.deploy.overloads import Overload
    from app.deploy.plan import DeployPlan
    from app.spec import Pipeline


def live_in(world: World, model: str) -> LiveVersion | None:
    """The live record of ``model``; None if no version is live."""
    from app.deploy.live import live_uri, read_live

    return read_live(world.store, live_uri(world.platform.bucket, model))


def overloads_in(world: World, pipeline: Pipeline) -> tuple[Overload, ...]:
    """The SQL functions that exist under the pipeline's name for them."""
    from app.deploy.overloads import find_overloads
    from app.deploy.plan import function_name

    return find_overloads(world.warehouse, function_name(pipeline))


def check_owners(pipeline: Pipeline, world: World) -> None:
    """Raise CallerError if SQL function or endpoint belong to another pipeline or to someone else."""
    from app.deploy.overloads import claim_overloads
    from app.deploy.plan import function_name
    from app.ownership import claim_endpoint

    name, platform = function_name(pipeline), world.platform
    # The arguments of the typed form follow from the contract, which the features stage makes; its plan checks that form.
    claim_overloads(pipeline.name, name, overloads_in(world, pipeline), [("OBJECT",)], platform.gateway_url)
    if pipeline.serving.scorer == "endpoint":
        claim_endpoint(pipeline.name, world.hosting.tags(pipeline.name), platform.bucket)


def apply(plan: DeployPlan, world: World, tell: Tell, live: Callable[[], None] = lambda: None) -> Deployment:
    """Apply ``plan`` with the adapters of ``world``. ``live``: as in ``run_deploy``."""
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
        live,
    )


def _plan(context: Context) -> DeployPlan:
    from app.deploy.plan import plan_deploy

    pipeline, world, version = context.file.pipeline, context.world, context.result(REGISTRY)
    return plan_deploy(pipeline, version, overloads_in(world, pipeline), live_in(world, pipeline.name), world.platform)


def _look(context: Context, result: Deployment) -> Seen[Deployment]:
    from app.deploy.look import compare, left_alone

    pipeline, world = context.file.pipeline, context.world
    live = live_in(world, pipeline.name)
    if live is None:
        return Seen(None, "no version is live")
    if (other := left_alone(result, live)) is not None:
        return other
    plan = _plan(context)
    endpoint = world.hosting.describe(pipeline.name) if plan.settled else None
    return compare(pipeline, result, live, plan, endpoint)


def _check(context: Context) -> None:
    check_owners(context.file.pipeline, context.world)


def _reach(context: Context) -> None:
    context.world.service.reach()


def _run(context: Context, plan: DeployPlan) -> Deployment:
    if (live := _experiment(context)) is not None:
        from app.deploy.look import experiment_left

        left = f"{experiment_left(live)}, and version {plan.live.version} waits for `snowsage promote`"
        return Deployment(
            live.model, live.version, live.endpoint if live.scorer == "endpoint" else "", plan.forms, left
        )
    return apply(plan, context.world, context.tell)


def _explain(_: Context, plan: DeployPlan) -> list[str]:
    endpoint = [f"{key} = {value}" for key, value in asdict(plan.endpoint).items()] if plan.endpoint else []
    return [*endpoint, f"write {plan.live_uri}", *(item.shown for item in plan.functions), plan.probe.shown]


def _experiment(context: Context) -> LiveVersion | None:
    """The experiment that a run does not end; the verb ``deploy`` does."""
    live = None if context.asked else live_in(context.world, context.file.pipeline.name)
    return live if live is not None and live.shares else None


def _outline(context: Context, plan: DeployPlan) -> str:
    if (live := _experiment(context)) is not None:
        from app.deploy.look import experiment_left

        return experiment_left(live)
    if plan.settled is None:
        where = "scored by the service itself"
    else:
        one = plan.settled.variants[0]
        where = f"on endpoint {plan.settled.endpoint}, {one.instance_count} x {one.instance_type} until it is deleted"
    functions = "SQL functions are made or changed" if plan.functions else "the SQL functions stay as they are"
    return f"version {plan.live.version} goes live {where}; {functions}"


def _summarize(result: Deployment) -> Summary:
    where = f"endpoint {result.endpoint}" if result.endpoint else ", ".join(result.functions[:1]) or "the service"
    what = result.left or f"version {result.version} in service, a row came back through SQL"
    return Summary(what, None, where)


STAGE = Stage(
    name="deploy",
    help="Make the run's version live: endpoint, service, SQL functions.",
    result=Deployment,
    plan=_plan,
    run=_run,
    explain=_explain,
    summarize=_summarize,
    needs=(REGISTRY,),
    outline=_outline,
    check=_check,
    reach=_reach,
    look=_look,
)
