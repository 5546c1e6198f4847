"""Experiments: plans, rejected input, the record, and the changes that promote and rollback make to the live version."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any, cast

import pytest

from app.deploy.experiment import parse_share, plan_experiment
from app.deploy.live import LiveVersion, live_uri, read_live
from app.deploy.plan import DeployPlan, endpoint_of, plan_deploy
from app.deploy.promotion import Changed, promote, rollback
from app.errors import CallerError, GateRefused, PermanentError
from app.ownership import owner_uri
from app.ports import EndpointRequest, EndpointState
from app.registry.versions import RegisteredVersion
from app.runs.stage import World
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeTraining, FakeWarehouse
from tests.unit import churn

BODY = churn.archive(contract=churn.CONTRACT.to_dict())
DIGEST = hashlib.sha256(BODY).hexdigest()
OTHER_BODY = churn.archive(contract=churn.CONTRACT.to_dict(), report={})
OTHER = churn.registered(
    version="1.1",
    run_id="another",
    artifact_sha256=hashlib.sha256(OTHER_BODY).hexdigest(),
    artifact_uri="s3://lake/churn/other/model.tar.gz",
)
FIRST = churn.registered(artifact_sha256=DIGEST, stage="production")
NOW = plan_deploy(churn.PIPELINE, FIRST, [], None, churn.platform()).live


def planned(
    challenger: RegisteredVersion = OTHER, standing: LiveVersion | None = NOW, share: float = 0.1
) -> DeployPlan:
    return plan_experiment(churn.PIPELINE, challenger, standing, share, churn.platform())


BOTH = planned().live


def weights(request: EndpointRequest | None) -> dict[str, float]:
    assert request is not None
    return {item.name: item.weight for item in request.variants}


FIRSTS, OTHERS = (share.variant for share in BOTH.shares)


# --- the plan -------------------------------------------------------------------------------------------------------------


def test_both_versions_have_a_variant_weighted_by_their_share() -> None:
    plan = planned()
    assert weights(plan.endpoint) == {FIRSTS: 0.9, OTHERS: 0.1}
    assert plan.endpoint == plan.settled
    assert (plan.functions, plan.promotes) == ((), False)
    assert (plan.live.version, plan.live.versions) == ("1.0", {"1.0": 0.9, "1.1": 0.1})
    assert replace(plan.live, shares=()) == NOW
    assert [arm.variant for arm in plan.live.arms] == [FIRSTS, OTHERS]
    assert [item.artifact_uri for item in plan.endpoint.variants] == [FIRST.artifact_uri, OTHER.artifact_uri]  # type: ignore[union-attr]


def test_another_share_has_another_configuration_with_a_name_within_the_limit() -> None:
    longest = churn.PIPELINE.model_copy(update={"name": "c" * 25})
    live = replace(BOTH, model="c" * 25, version="10.10", rules=replace(BOTH.rules, payload="csv"))
    names = {endpoint_of(longest, live).config_name, endpoint_of(longest, NOW, live).config_name}
    assert all(len(name) <= 63 for name in names)
    ten, twenty = planned().endpoint, planned(share=0.2).endpoint
    assert ten is not None
    assert twenty is not None
    assert ten.config_name != twenty.config_name


@pytest.mark.parametrize("winner", [FIRST, OTHER])
def test_weights_do_not_change_at_the_end_of_an_experiment_until_its_queries_have_ended(
    winner: RegisteredVersion,
) -> None:
    plan = plan_deploy(churn.PIPELINE, winner, [], BOTH, churn.platform())
    assert plan.endpoint == endpoint_of(churn.PIPELINE, BOTH)
    assert weights(plan.settled) == {plan.live.variant: 1.0}
    assert (plan.live.shares, plan.lead_s, plan.drain_s) == ((), 10.0, 60.0)


def test_a_third_version_gets_no_traffic_while_an_experiments_queries_may_run() -> None:
    third = churn.registered(version="1.2", artifact_sha256="3c" * 32)
    plan = plan_deploy(churn.PIPELINE, third, [], BOTH, churn.platform())
    assert weights(plan.endpoint) == {FIRSTS: 0.9, OTHERS: 0.1, plan.live.variant: 0.0}
    assert weights(plan.settled) == {plan.live.variant: 1.0}
    assert plan.endpoint != plan.settled


def test_the_share_of_an_experiment_can_change() -> None:
    assert planned(standing=BOTH, share=0.25).live.versions == {"1.0": 0.75, "1.1": 0.25}


def test_an_embedded_experiment_needs_no_endpoint() -> None:
    plan = planned(standing=replace(NOW, scorer="embedded"))
    assert (plan.endpoint, plan.live.scorer) == (None, "embedded")


def test_an_experiment_uses_the_live_serving_rules_even_if_the_file_has_changed() -> None:
    standing = replace(NOW, rules=replace(NOW.rules, output="variant"), key="CUSTOMER_ID")
    plan = planned(standing=standing)
    assert (plan.live.rules, plan.live.key) == (standing.rules, "CUSTOMER_ID")
    assert plan.probe.text.endswith("'score')::FLOAT")


NARROW = Contract((Column("A"), Column("B")), key=("CUSTOMER_ID",), label="CHURNED")


@pytest.mark.parametrize(
    ("challenger", "standing", "said"),
    [
        (OTHER, None, r"no version of churn is live to compare 1\.1 with; run `snowsage deploy` first"),
        (FIRST, NOW, r"churn 1\.0 cannot be given a share: it is the live version already"),
        (FIRST, BOTH, r"churn 1\.0 cannot be given a share: 1\.1 is compared with it"),
        (replace(OTHER, version="1.2"), BOTH, r"churn compares 1\.0 with 1\.1 already; end that experiment first"),
        (replace(OTHER, contract=NARROW.to_dict()), NOW, "versions with different features cannot share the entities"),
        (OTHER, replace(NOW, variant=""), "was deployed before variants had names"),
    ],
)
def test_versions_that_cannot_be_compared_are_rejected(
    challenger: RegisteredVersion, standing: LiveVersion | None, said: str
) -> None:
    with pytest.raises(CallerError, match=said):
        planned(challenger, standing)


def test_a_rejected_version_gets_no_share() -> None:
    with pytest.raises(GateRefused, match="did not pass the gate"):
        planned(replace(OTHER, stage="rejected"))


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.1", 0.1), (" 2.5 % ", 0.025), (".5", 0.5), ("99%", 0.99)]
)
def test_valid_shares_are_parsed(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["0", "0%", "1", "100%", "1.5", "10", "-1%", "ten", "nan", "1e-3", "10%%", "0.1.1"])
def test_invalid_shares_are_rejected(text: str) -> None:
    with pytest.raises(CallerError, match="must be between 0 and 1, both excluded; write 10% or"):
        parse_share(text)


# --- the record -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3, 1 / 3, 0.000001])
def test_the_record_is_unchanged_by_a_round_trip(share: float) -> None:
    live = planned(share=share).live
    assert live.arms  # cached values are not part of the record
    assert LiveVersion.from_json(live.to_json()) == live


def test_without_an_experiment_the_record_has_no_experiment_fields() -> None:
    assert "shares" not in json.loads(NOW.to_json())
    assert LiveVersion.from_json(NOW.to_json()).arms == (NOW,)


def changed_share(at: int, **changes: Any) -> list[dict[str, Any]]:
    shares = json.loads(BOTH.to_json())["shares"]
    shares[at] |= changes
    return cast(list[dict[str, Any]], shares)


@pytest.mark.parametrize(
    "shares",
    [
        "x",
        [1],
        [{}],
        changed_share(0)[:1],
        changed_share(1, share=0.2),
        changed_share(1, share="0.1"),
        changed_share(1, share=None),
        [*changed_share(0, share=1.1)[:1], *changed_share(1, share=-0.1)[1:]],
        changed_share(0, artifact_sha256="00" * 32),
        changed_share(0, version="1.2"),
        changed_share(1, version="1.0"),
        changed_share(1, version=1.1),
        changed_share(1, variant=FIRSTS),
        changed_share(1, variant=""),
        changed_share(1, more=1),
        list(reversed(changed_share(0))),
    ],
)
def test_a_damaged_record_is_reported(shares: Any) -> None:
    body = json.dumps({**json.loads(BOTH.to_json()), "shares": shares}).encode()
    with pytest.raises(
        PermanentError, match=r"the record of the live version is damaged .*; run `snowsage deploy` again"
    ):
        LiveVersion.from_json(body)


# --- promote and rollback -------------------------------------------------------------------------------------------------


class AtOnce(FakeHosting):
    """Hosting whose endpoint serves each applied request immediately."""

    def apply(self, request: EndpointRequest) -> None:
        super().apply(request)
        self.states = [EndpointState("InService", request.config_name, "")]


class Obedient(FakeService):
    """A service that serves the version in the record."""

    def __init__(self, store: FakeStore) -> None:
        super().__init__("")
        self._store = store

    def refresh(self, model: str) -> Any:
        self.refreshed.append(model)
        live = read_live(self._store, live_uri("lake", model))
        return {"version": live.version if live else ""}


class Platform:
    """A world with two registered versions; the first is live."""

    def __init__(self, *versions: RegisteredVersion, live: LiveVersion | None = NOW) -> None:
        self.stages = {item.version: item.stage for item in versions}
        self.versions = versions
        self.store = FakeStore({FIRST.artifact_uri: BODY, OTHER.artifact_uri: OTHER_BODY})
        if live is not None:
            self.store.objects[live_uri("lake", "churn")] = live.to_json()
        self.hosting = AtOnce(None)
        answers = {'FROM "ML"."MODEL_REGISTRY"': self._rows, "CURRENT_ACCOUNT": [("A", "D")], "SELECT": [(0.4,)]}
        self.warehouse = FakeWarehouse(answers)

    def _rows(self, _: Any) -> Any:
        from app.ports import Table

        made = [
            (
                *(item.model, item.version, item.run_id, self.stages[item.version], json.dumps(item.contract)),
                *(json.dumps(item.report), json.dumps(item.verdict), item.training_job),
                *(item.artifact_uri, item.artifact_sha256),
            )
            for item in self.versions
        ]
        return Table((), made)

    @property
    def world(self) -> World:
        platform = churn.platform().model_copy(update={"switch_lead_s": 0.0, "drain_s": 0.0})
        training = FakeTraining(None)
        return World(platform, self.warehouse, self.store, training, self.hosting, Obedient(self.store))  # type: ignore[arg-type]

    @property
    def live(self) -> LiveVersion:
        found = read_live(self.store, live_uri("lake", "churn"))
        assert found is not None
        return found

    def promoted(self) -> list[str]:
        """The versions that the registry promoted to production, in order."""
        told = [statements[1].binds for statements in self.warehouse.transactions]
        self.stages |= {version: "archived" for version, stage in self.stages.items() if stage == "production" and told}
        self.stages |= {str(binds[1]): "production" for binds in told[-1:]}
        return [str(binds[1]) for binds in told]


def test_an_experiment_a_promotion_and_a_rollback_change_the_live_version() -> None:
    platform, told = Platform(FIRST, OTHER), list[str]()
    assert promote(churn.FILE, platform.world, "1.1", 0.1, told.append) == Changed("churn", {"1.0": 0.9, "1.1": 0.1})
    assert replace(platform.live, live_from_s=0.0, last_until_s=0.0) == replace(BOTH, by_hand="promote")
    assert (weights(platform.hosting.applied[-1]), platform.promoted()) == ({FIRSTS: 0.9, OTHERS: 0.1}, [])
    assert promote(churn.FILE, platform.world, "1.1", None, told.append) == Changed("churn", {"1.1": 1.0})
    assert (platform.live.version, platform.live.shares, platform.promoted()) == ("1.1", (), ["1.1"])
    assert [weights(request) for request in platform.hosting.applied[1:]] == [
        {FIRSTS: 0.9, OTHERS: 0.1},
        {OTHERS: 1.0},
    ]
    assert rollback(churn.FILE, platform.world, told.append) == Changed("churn", {"1.0": 1.0})
    assert (platform.live.version, platform.promoted()) == ("1.0", ["1.1", "1.0"])
    assert "sending one row through SQL, gateway, service and endpoint" in told
    with pytest.raises(
        CallerError, match=r"no version of churn was live before 1\.0; there is nothing to roll back to"
    ):
        rollback(churn.FILE, platform.world, told.append)


def test_what_is_live_is_reported_before_the_previous_queries_are_waited_for() -> None:
    platform, order = Platform(FIRST, OTHER), list[str]()
    world = replace(platform.world, platform=platform.world.platform.model_copy(update={"drain_s": 3600.0}))

    class Waiting(Exception):
        """Raised where the command would wait."""

    def tell(text: str) -> None:
        order.append(text)
        if "queries of the previous version" in text:
            raise Waiting

    with pytest.raises(Waiting):
        promote(churn.FILE, world, "1.1", None, tell, lambda changed: order.append(str(changed.shares)))
    assert order[-2] == "{'1.1': 1.0}"
    assert platform.live.by_hand == "promote"


def test_another_pipelines_endpoint_or_folder_is_not_promoted_into() -> None:
    platform = Platform(FIRST, OTHER)
    platform.hosting.tagged = {"snowsage:pipeline": "other"}
    with pytest.raises(CallerError, match="endpoint churn belongs to pipeline other"):
        promote(churn.FILE, platform.world, "1.1", None, str)
    platform.hosting.tagged = None
    home = {"pipeline": "churn", "account": "A", "database": "OTHER"}
    platform.store.objects[owner_uri("lake", "churn")] = json.dumps(home).encode()
    for change in (
        lambda: promote(churn.FILE, platform.world, "1.1", None, str),
        lambda: rollback(churn.FILE, platform.world, str),
    ):
        with pytest.raises(CallerError, match="belongs to pipeline churn in account A, database OTHER"):
            change()
    assert platform.hosting.applied == []


def test_rollback_during_an_experiment_restores_the_previous_version() -> None:
    platform = Platform(FIRST, OTHER)
    promote(churn.FILE, platform.world, "1.1", 0.5, str)
    assert rollback(churn.FILE, platform.world, str).shares == {"1.0": 1.0}
    assert (platform.live.shares, weights(platform.hosting.applied[-1])) == ((), {FIRSTS: 1.0})


def test_the_next_promotion_finishes_an_interrupted_one() -> None:
    platform = Platform(FIRST, OTHER)
    record = replace(BOTH, by_hand="promote", live_from_s=time.time(), last_until_s=time.time() + 3600)
    platform.store.objects[live_uri("lake", "churn")] = record.to_json()
    wanted = planned().endpoint
    assert wanted is not None
    platform.hosting.states = [EndpointState("InService", wanted.config_name, "")]
    promote(churn.FILE, platform.world, "1.1", 0.1, str)
    assert platform.live == record


def test_a_rejected_promotion_changes_nothing() -> None:
    platform = Platform(FIRST, replace(OTHER, stage="rejected"))
    writes = list(platform.store.writes)
    for share in (None, 0.1):
        with pytest.raises(GateRefused):
            promote(churn.FILE, platform.world, "1.1", share, str)
        with pytest.raises(CallerError, match=r"churn has no version 2\.0; its versions are 1\.0, 1\.1"):
            promote(churn.FILE, platform.world, "2.0", share, str)
    with pytest.raises(CallerError, match="it has none yet"):
        promote(churn.FILE, Platform().world, "1.0", None, str)
    with pytest.raises(CallerError, match="no version of churn is live; run `snowsage deploy` first"):
        rollback(churn.FILE, Platform(FIRST, live=None).world, str)
    assert (platform.store.writes, platform.hosting.applied) == (writes, [])
