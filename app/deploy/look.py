"""Compares a recorded deployment with the world: what is live, which functions exist, which configuration the endpoint has.

What a person did is respected: a version that was promoted or rolled back to, an experiment, an endpoint configuration that no
deployment made. What is missing, or differs because the pipeline file has changed, is deployed again.
"""

from __future__ import annotations

from dataclasses import replace

from app.deploy.live import LiveVersion
from app.deploy.plan import DeployPlan, is_config_of
from app.deploy.result import Deployment
from app.ports import EndpointState
from app.runs.stage import Seen
from app.spec import Pipeline

_DONE_BY = {"promote": "promoted by hand", "rollback": "rolled back by hand", "": "deployed by another run"}


def left_alone(result: Deployment, live: LiveVersion) -> Seen[Deployment] | None:
    """The deployment that is live instead of the recorded one, and why it stays; None if the recorded version is live."""
    if live.shares:
        return Seen(replace(result, version=live.version), experiment_left(live))
    if live.version != result.version:
        said = f"live is {live.version}, {_DONE_BY.get(live.by_hand, 'made live by hand')}; deploy leaves it"
        return Seen(replace(result, version=live.version), said)
    return None


def experiment_left(live: LiveVersion) -> str:
    """An experiment that a person started: only a person ends it."""
    parts = " and ".join(f"{version} ({100 * share:.4g} %)" for version, share in live.versions.items())
    return f"live are {parts}, an experiment; deploy leaves it"


def compare(
    pipeline: Pipeline, result: Deployment, live: LiveVersion, plan: DeployPlan, endpoint: EndpointState | None
) -> Seen[Deployment]:
    """The recorded deployment of the version that is live. ``plan``: what a deployment would do now."""
    if replace(live, live_from_s=0.0, last_until_s=0.0) != plan.live:
        return Seen(None, "the settings of serving have changed")
    if plan.functions:
        return Seen(None, f"the SQL functions {pipeline.serving.function} are not as the pipeline file has them")
    if plan.settled is not None:
        if endpoint is None:
            return Seen(None, f"endpoint {plan.settled.endpoint} does not exist")
        if endpoint.status == "Failed":
            return Seen(None, f"endpoint {plan.settled.endpoint} has failed")
        if endpoint.config_name != plan.settled.config_name:
            if is_config_of(pipeline, endpoint.config_name):
                return Seen(None, f"endpoint {plan.settled.endpoint} has another configuration")
            return Seen(result, f"the endpoint has configuration {endpoint.config_name}, set by hand; deploy leaves it")
    return Seen(result)
