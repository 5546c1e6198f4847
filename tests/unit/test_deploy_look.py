"""A recorded deployment and the world: what a person did is left and reported, what is missing or outdated is deployed again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.deploy.live import LiveVersion, Share, live_uri
from app.deploy.look import compare, left_alone
from app.deploy.overloads import Overload
from app.deploy.plan import forms_of, plan_deploy
from app.deploy.result import Deployment
from app.deploy.stage import STAGE
from app.errors import CallerError
from app.ports import EndpointState, Table
from app.registry.stage import STAGE as REGISTRY
from app.runs.stage import Context, World
from app.sql import Name
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeTraining, FakeWarehouse
from tests.unit import churn

PLATFORM = churn.platform()
READER = Name.parse(str(PLATFORM.reader_role))
OVERLOADS = [Overload(form.types, form.comment(READER)) for form in forms_of(churn.PIPELINE, churn.CONTRACT, PLATFORM)]
VERSION = churn.registered()
PLAN = plan_deploy(churn.PIPELINE, VERSION, OVERLOADS, None, PLATFORM)
LIVE = replace(PLAN.live, live_from_s=5.0, last_until_s=6.0)
RESULT = Deployment("churn", "1.0", "churn", PLAN.forms)
assert PLAN.settled is not None
IN_SERVICE = EndpointState("InService", PLAN.settled.config_name, "")


def looked(
    live: LiveVersion | None = LIVE, overloads: Any = OVERLOADS, state: EndpointState | None = IN_SERVICE
) -> Any:
    """What the stage says of the recorded result."""
    rows = [
        ("PREDICT_CHURN", "N", f"PREDICT_CHURN({', '.join(each.types)}) RETURN FLOAT", each.comment)
        for each in overloads
    ]
    shown = Table(("name", "is_builtin", "arguments", "description"), rows)
    store = FakeStore({live_uri("lake", "churn"): live.to_json()} if live else {})
    warehouse = FakeWarehouse({"SHOW FUNCTIONS": shown})
    world = World(PLATFORM, warehouse, store, FakeTraining(None), FakeHosting(state), FakeService("1.0"))  # type: ignore[arg-type]
    context = Context(churn.FILE, churn.RUN, world, results={REGISTRY.name: VERSION})
    assert STAGE.look is not None
    return STAGE.look(context, RESULT)


def test_a_deployment_that_is_as_recorded_stands() -> None:
    seen = looked()
    assert (seen.result, seen.note) == (RESULT, "")


@pytest.mark.parametrize(
    ("by_hand", "said"),
    [
        ("rollback", "live is 0.9, rolled back by hand; deploy leaves it"),
        ("promote", "live is 0.9, promoted by hand; deploy leaves it"),
        ("", "live is 0.9, deployed by another run; deploy leaves it"),
    ],
)
def test_another_live_version_is_left_and_reported(by_hand: str, said: str) -> None:
    seen = looked(replace(LIVE, version="0.9", by_hand=by_hand))
    assert (seen.result, seen.note) == (replace(RESULT, version="0.9"), said)


def test_an_experiment_is_left_and_reported() -> None:
    shares = (
        Share("1.0", LIVE.variant, 0.9, LIVE.artifact_uri, LIVE.artifact_sha256),
        Share("1.1", "v1-1", 0.1, "s3://lake/b", "b" * 64),
    )
    live = replace(LIVE, shares=shares, by_hand="promote")
    assert left_alone(RESULT, live) is not None
    assert looked(live).note == "live are 1.0 (90 %) and 1.1 (10 %), an experiment; deploy leaves it"


def test_the_version_that_was_promoted_by_hand_stands() -> None:
    assert looked(replace(LIVE, by_hand="promote")).note == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"live": None}, "no version is live"),
        ({"live": replace(LIVE, key=None)}, "the settings of serving have changed"),
        ({"live": replace(LIVE, scorer="embedded")}, "the settings of serving have changed"),
        ({"overloads": OVERLOADS[:1]}, "the SQL functions PREDICT_CHURN are not as the pipeline file has them"),
        ({"state": None}, "endpoint churn does not exist"),
        ({"state": replace(IN_SERVICE, status="Failed")}, "endpoint churn has failed"),
        ({"state": replace(IN_SERVICE, config_name="churn-0-9-0a1b2c3d")}, "endpoint churn has another configuration"),
    ],
)
def test_what_is_missing_or_outdated_is_deployed_again(change: Any, said: str) -> None:
    seen = looked(**change)
    assert (seen.result, seen.note) == (None, said)


def test_a_configuration_that_a_person_made_is_left() -> None:
    seen = looked(state=replace(IN_SERVICE, config_name="churn-with-more-memory"))
    assert seen.result == RESULT
    assert "set by hand; deploy leaves it" in seen.note


def test_another_instance_is_another_configuration() -> None:
    serving = churn.PIPELINE.serving
    larger = churn.PIPELINE.model_copy(
        update={"serving": serving.model_copy(update={"instance": serving.instance.model_copy(update={"min": 2})})}
    )
    plan = plan_deploy(larger, VERSION, OVERLOADS, LIVE, PLATFORM)
    assert plan.settled == plan.endpoint
    assert compare(larger, RESULT, LIVE, plan, IN_SERVICE).note == "endpoint churn has another configuration"


def context_of(live: LiveVersion, *, asked: bool) -> Context:
    world = World(
        PLATFORM,
        FakeWarehouse(),
        FakeStore({live_uri("lake", "churn"): live.to_json()}),
        FakeTraining(None),
        FakeHosting(None),
        FakeService("1.0"),
    )  # type: ignore[arg-type]
    return Context(churn.FILE, churn.RUN, world, asked=asked, results={REGISTRY.name: VERSION})


def test_a_run_does_not_end_an_experiment() -> None:
    shares = (
        Share("0.8", LIVE.variant, 0.5, LIVE.artifact_uri, LIVE.artifact_sha256),
        Share("0.9", "v0-9", 0.5, "s3://lake/b", "b" * 64),
    )
    live = replace(LIVE, version="0.8", shares=shares, by_hand="promote")
    context = context_of(live, asked=False)
    plan = STAGE.plan(context)
    assert STAGE.outline is not None
    assert "an experiment; deploy leaves it" in STAGE.outline(context, plan)
    done = STAGE.run(context, plan)
    assert done.version == "0.8"
    assert done.left.endswith("deploy leaves it, and version 1.0 waits for `snowsage promote`")
    assert STAGE.summarize(done).what == done.left
    assert "goes live" in STAGE.outline(context_of(live, asked=True), plan)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"snowsage:pipeline": "other"}, "endpoint churn belongs to pipeline other"),
        ({}, "endpoint churn exists and no pipeline made it"),
        (
            {"snowsage:pipeline": "churn", "snowsage:bucket": "elsewhere"},
            "endpoint churn belongs to pipeline churn of bucket elsewhere, and this run uses lake",
        ),
    ],
)
def test_an_endpoint_of_others_is_refused(tags: dict[str, str], said: str) -> None:
    context = context_of(LIVE, asked=False)
    context.world.hosting.tagged = tags  # type: ignore[attr-defined]
    assert STAGE.check is not None
    with pytest.raises(CallerError, match=said):
        STAGE.check(context)


@pytest.mark.parametrize(
    "tags", [{"snowsage:pipeline": "churn"}, {"snowsage:pipeline": "churn", "snowsage:bucket": "lake"}]
)
def test_an_own_endpoint_is_free(tags: dict[str, str]) -> None:
    context = context_of(LIVE, asked=False)
    context.world.hosting.tagged = tags  # type: ignore[attr-defined]
    assert STAGE.check is not None
    STAGE.check(context)
