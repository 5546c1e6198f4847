"""A deployment: the SQL functions of the contract, the record of the live version, and the order of the steps."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.deploy.function import arguments
from app.deploy.live import LiveVersion, live_uri, read_live
from app.deploy.overloads import Overload
from app.deploy.plan import DeployPlan, function_name, plan_deploy
from app.deploy.rules import ServingRules
from app.deploy.run import run_deploy
from app.deploy.stage import STAGE
from app.errors import Busy, CallerError, GateRefused, Interrupted, PermanentError, TransientError
from app.ports import EndpointRequest, EndpointState
from app.registry.versions import RegisteredVersion
from app.sql import Name, Statement
from localcloud.snowflake.objects.external_functions.syntax import CreateExternalFunction
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeHosting, FakeService, FakeStore, FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

BODY = churn.archive(contract=churn.CONTRACT.to_dict())
VERSION = churn.registered(artifact_sha256=hashlib.sha256(BODY).hexdigest())


def planned(
    version: RegisteredVersion = VERSION,
    overloads: Sequence[Overload] = (),
    standing: LiveVersion | None = None,
    **serving: Any,
) -> DeployPlan:
    pipeline = churn.PIPELINE.model_copy(update={"serving": churn.PIPELINE.serving.model_copy(update=serving)})
    return plan_deploy(pipeline, version, overloads, standing, churn.platform())


def words(statement: Statement) -> str:
    """The first word of the statement."""
    return statement.text.split()[0]


def test_the_typed_form_takes_the_key_and_then_every_feature() -> None:
    typed = read(planned().functions[0].text)
    assert isinstance(typed, CreateExternalFunction)
    assert [(item.name, str(item.type)) for item in typed.arguments] == [
        ("CUSTOMER_ID", "NUMBER(38,0)"),
        *((name, "FLOAT") for name in churn.CONTRACT.names),
    ]
    assert str(typed.returns) == "FLOAT"
    assert (typed.strict, typed.immutable, typed.or_replace) == (False, False, True)
    assert typed.url == "https://abc123.execute-api.eu-central-1.amazonaws.com/prod/predict/churn"
    assert (typed.api_integration, typed.max_batch_rows) == ("SNOWSAGE_API", 4096)


def test_the_object_form_takes_one_object() -> None:
    by_name = read(planned().functions[3].text)
    assert isinstance(by_name, CreateExternalFunction)
    assert [(item.name, str(item.type)) for item in by_name.arguments] == [("FEATURES", "OBJECT")]


def test_an_output_other_than_a_number_is_a_variant() -> None:
    plan = planned(output="variant", reasons=3, on_bad_row="error", absent="null")
    functions = [read(statement.text) for statement in plan.functions]
    assert [str(item.returns) for item in functions if isinstance(item, CreateExternalFunction)] == ["VARIANT"] * 2
    assert [words(text) for text in plan.functions] == ["CREATE", "GRANT", "ALTER"] * 2
    assert plan.probe.text.startswith('SELECT GET("ML"."PREDICT_CHURN"(NULL::NUMBER, ')
    assert plan.probe.text.endswith("), 'score')::FLOAT")
    batch = churn.PIPELINE.batch
    assert plan.live.rules == ServingRules("variant", 3, "error", True, "npy", batch.threshold, batch.labels)


def test_without_a_key_the_features_come_first() -> None:
    assert arguments(churn.CONTRACT, churn.PIPELINE.entity, None)[0] == ("TOTAL_SPENT", "FLOAT")


def test_a_category_is_a_varchar_argument() -> None:
    contract = Contract((Column("C", "category", ("it's",)), Column("A")), key=("CUSTOMER_ID",), label="L")
    plan = planned(replace(VERSION, contract=contract.to_dict()))
    assert plan.probe.text == 'SELECT "ML"."PREDICT_CHURN"(NULL::NUMBER, NULL::VARCHAR, NULL::FLOAT)'


@pytest.mark.parametrize(
    ("function", "name"),
    [("predict_churn", Name.of("ML", "PREDICT_CHURN")), ("analytics.score", Name.of("ANALYTICS", "SCORE"))],
)
def test_the_function_name_includes_the_configured_schema(function: str, name: Name) -> None:
    serving = churn.PIPELINE.serving.model_copy(update={"function": str(Name.parse(function))})
    assert function_name(churn.PIPELINE.model_copy(update={"serving": serving})) == name


def test_a_rejected_version_does_not_go_live() -> None:
    rejected = churn.registered(stage="rejected", verdict=("failed: auc 0.6000 (minimum 0.75)", "passed: x"))
    with pytest.raises(GateRefused) as caught:
        planned(rejected)
    assert str(caught.value).splitlines() == [
        "churn 1.0 did not pass the gate and does not go live:",
        "  failed: auc 0.6000 (minimum 0.75)",
        "  passed: x",
        "change the features, the training or training.gate",
    ]


def test_a_changed_artefact_has_another_endpoint_configuration() -> None:
    one, two = planned(), planned(replace(VERSION, artifact_sha256="cd" * 32))
    assert one.endpoint
    assert two.endpoint
    assert one.endpoint.config_name != two.endpoint.config_name == "churn-1-0-cdcdcdcd"
    assert one.endpoint.endpoint == two.endpoint.endpoint == "churn"


LAST = replace(planned().live, version="0.9", artifact_sha256="ef" * 32, variant="v0-9-efefefef")


def test_a_new_version_is_deployed_next_to_the_version_that_it_replaces() -> None:
    plan = planned(standing=LAST)
    assert plan.endpoint
    assert plan.settled
    assert [(item.name, item.weight) for item in plan.endpoint.variants] == [
        (plan.live.variant, 1.0),
        (LAST.variant, 0.0),
    ]
    assert plan.endpoint.variants[1].model_name == "churn-0-9-efefefef"
    assert plan.endpoint.config_name == f"{plan.settled.config_name}-after-efefefef"
    assert [item.name for item in plan.settled.variants] == [plan.live.variant]
    assert (plan.lead_s, plan.drain_s) == (10.0, 60.0)


@pytest.mark.parametrize(
    "standing", [None, planned().live, replace(LAST, scorer="embedded"), replace(LAST, variant="")]
)
def test_a_version_without_a_predecessor_is_deployed_alone(standing: LiveVersion | None) -> None:
    plan = planned(standing=standing)
    assert plan.endpoint == plan.settled


def test_without_an_endpoint_the_service_scores() -> None:
    plan = planned(scorer="embedded")
    assert (plan.endpoint, plan.settled, plan.live.scorer) == (None, None, "embedded")


def test_the_built_in_algorithm_has_another_archive_and_other_names() -> None:
    ours, theirs = planned(), planned(payload="csv")
    assert ours.endpoint
    assert theirs.endpoint
    (own,), (built,) = ours.endpoint.variants, theirs.endpoint.variants
    assert built.environment == {}
    assert built.artifact_uri == own.artifact_uri.replace("model.tar.gz", "built-in/model.tar.gz")
    assert (built.name, built.model_name) == (f"{own.name}-csv", f"{own.model_name}-csv")
    assert theirs.live.variant == built.name
    assert theirs.endpoint.config_name != ours.endpoint.config_name


def test_the_built_in_algorithm_rejects_a_single_feature() -> None:
    contract = Contract((Column("A"),), key=("CUSTOMER_ID",), label="L")
    with pytest.raises(CallerError, match="cannot read a CSV of one column"):
        planned(replace(VERSION, contract=contract.to_dict()), payload="csv")


# --- the record -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "CUSTOMER_ID"])
def test_the_record_is_unchanged_by_a_round_trip(key: str | None) -> None:
    rules = ServingRules("variant", 3, "null", True, "csv", 0.5, ("STAYS", "CHURNS"))
    for chosen in (rules, ServingRules()):
        live = LiveVersion("churn", "1.0", churn.CONTRACT, "churn", "s3://lake/m", "ab" * 32, key, rules=chosen)
        assert LiveVersion.from_json(live.to_json()) == live


@pytest.mark.parametrize("kept", [{}, {"rules": {}}, {"rules": {"output": "number"}}])
def test_a_record_without_serving_rules_means_the_defaults(kept: dict[str, Any]) -> None:
    live = LiveVersion("churn", "1.0", churn.CONTRACT, "churn", "s3://lake/m", "ab" * 32)
    fields = json.loads(live.to_json())
    del fields["rules"]
    assert LiveVersion.from_json(json.dumps({**fields, **kept}).encode()) == live


def broken() -> list[bytes]:
    good = json.loads(planned().live.to_json())
    return [
        *(b"", b"[]", b"{}", b"\xff", b'"x"', b"null"),
        json.dumps({**good, "more": 1}).encode(),
        json.dumps({**good, "rules": {"more": 1}}).encode(),
        json.dumps({**good, "rules": {"output": "prose"}}).encode(),
        json.dumps({**good, "rules": {"labels": 1}}).encode(),
        json.dumps({**good, "rules": "none"}).encode(),
        json.dumps({**good, "contract": {**good["contract"], "fingerprint": "0" * 16}}).encode(),
        json.dumps({name: value for name, value in good.items() if name != "endpoint"}).encode(),
    ]


@pytest.mark.parametrize("body", broken())
def test_a_damaged_record_is_reported(body: bytes) -> None:
    with pytest.raises(
        PermanentError, match=r"the record of the live version is damaged .*; run `snowsage deploy` again"
    ):
        LiveVersion.from_json(body)


# --- the run --------------------------------------------------------------------------------------------------------------

READY = EndpointState("InService", "churn-1-0-" + VERSION.artifact_sha256[:8], "")
UPDATING = EndpointState("Updating", "churn-0-9-00000000", "")


class Deploying:
    """A deployment of the example with fakes behind the ports."""

    def __init__(
        self,
        *states: EndpointState | None,
        score: Any = 0.4,
        served: str = "1.0",
        body: bytes = BODY,
        plan: DeployPlan | None = None,
    ) -> None:
        self.plan = plan or planned()
        self.warehouse = FakeWarehouse({"SELECT": [(score,)]})
        self.store = FakeStore({VERSION.artifact_uri: body})
        self.hosting = FakeHosting(*states, log=["first", "last"])
        self.service = FakeService(served)

    def run(self, timeout_s: float = 5) -> Any:
        return run_deploy(self.plan, self.warehouse, self.store, self.hosting, self.service, 0.0, timeout_s)


def recorded(world: Deploying) -> LiveVersion:
    """The record without its times."""
    found = read_live(world.store, live_uri("lake", "churn"))
    assert found is not None
    return replace(found, live_from_s=0.0, last_until_s=0.0)


def test_a_version_goes_live_step_by_step() -> None:
    world = Deploying(None, UPDATING, READY)
    done = world.run()
    assert world.hosting.applied == [world.plan.endpoint]
    assert recorded(world) == world.plan.live
    assert world.service.refreshed == ["churn"]
    verbs = [words(statement) for statement in world.warehouse.statements]
    assert verbs == ["CREATE", "GRANT", "ALTER", "CREATE", "GRANT", "ALTER", "SELECT", "UPDATE", "UPDATE"]
    assert len(world.warehouse.transactions) == 1
    assert (done.version, done.endpoint, len(done.functions)) == ("1.0", "churn", 2)


def test_the_previous_version_is_removed_after_its_queries_have_ended() -> None:
    plan = replace(planned(standing=LAST), lead_s=0.1, drain_s=0.1, last_call_s=0.1)
    assert plan.endpoint
    assert plan.settled
    both = EndpointState("InService", plan.endpoint.config_name, "")
    world = Deploying(None, both, both, READY, plan=plan)
    began = time.time()
    world.run()
    assert world.hosting.applied == [plan.endpoint, plan.settled]
    record = LiveVersion.from_json(world.store.objects[live_uri("lake", "churn")])
    assert began + 0.1 <= record.live_from_s <= time.time()
    assert record.last_until_s == pytest.approx(record.live_from_s + 0.1)
    assert time.time() >= record.last_until_s + 0.1


def test_a_repeated_deployment_keeps_the_recorded_times() -> None:
    world = Deploying(None, READY)
    world.run()
    stated = world.store.objects[live_uri("lake", "churn")]
    world.hosting = FakeHosting(READY)
    world.run()
    assert world.store.objects[live_uri("lake", "churn")] == stated


def test_the_service_alone_is_deployed_without_an_endpoint() -> None:
    world = Deploying(None, plan=planned(scorer="embedded"))
    done = world.run()
    assert (world.hosting.applied, done.endpoint, recorded(world).scorer) == ([], "", "embedded")
    assert STAGE.summarize(done).where == done.functions[0]
    assert STAGE.summarize(replace(done, functions=())).where == "the service"
    assert STAGE.summarize(replace(done, endpoint="churn")).where == "endpoint churn"


def test_the_archive_for_the_built_in_algorithm_contains_only_the_booster() -> None:
    given = io.BytesIO()
    with tarfile.open(fileobj=given, mode="w:gz") as tar:
        for name, data in (("model.ubj", b"{the booster"), ("contract.json", b"{}"), ("code/setup.py", b"")):
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    body = given.getvalue()
    plan = planned(replace(VERSION, artifact_sha256=hashlib.sha256(body).hexdigest()), payload="csv")
    assert plan.endpoint
    world = Deploying(None, EndpointState("InService", plan.endpoint.config_name, ""), body=body, plan=plan)
    world.run()
    (variant,) = plan.endpoint.variants
    written = world.store.objects[variant.artifact_uri]
    with tarfile.open(fileobj=io.BytesIO(written)) as tar:
        (member,) = tar.getmembers()
        file = tar.extractfile(member)
        assert file
        assert (member.name, file.read()) == ("xgboost-model", b"{the booster")
    assert world.store.writes.index(variant.artifact_uri) < world.store.writes.index(plan.live_uri)
    again = Deploying(None, EndpointState("InService", plan.endpoint.config_name, ""), body=body, plan=plan)
    again.run()
    assert again.store.objects[variant.artifact_uri] == written


def nothing_live(world: Deploying) -> None:
    assert world.store.writes == []
    assert world.service.refreshed == []
    assert world.warehouse.texts == []


@pytest.mark.parametrize(
    "state",
    [
        EndpointState("Failed", READY.config_name, "no room"),
        EndpointState("UpdateRollbackFailed", READY.config_name, "no room"),
        EndpointState("InService", "churn-0-9-00000000", "no room"),
    ],
)
def test_an_endpoint_that_fails_to_serve_the_version_is_reported_with_its_log(state: EndpointState) -> None:
    world = Deploying(UPDATING, state)
    with pytest.raises(PermanentError, match=r"does not serve churn-1-0-\w+: no room\n.*\n    first\n    last"):
        world.run()
    nothing_live(world)


def test_an_endpoint_that_takes_too_long_is_a_transient_error() -> None:
    world = Deploying(UPDATING)
    with pytest.raises(TransientError, match="is still Updating after 0 s; run it again later"):
        world.run(timeout_s=0)
    nothing_live(world)


class Contended(FakeHosting):
    """AWS refuses the first ``refusals`` updates, because another process changes the endpoint."""

    def __init__(self, refusals: int, *states: EndpointState | None) -> None:
        super().__init__(*states)
        self.refusals = refusals

    def apply(self, request: EndpointRequest) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise Busy("endpoint churn is being changed")
        super().apply(request)


def test_a_change_by_another_process_is_waited_for() -> None:
    """It begins after this process has looked, and before it updates."""
    world = Deploying(READY)
    world.hosting = Contended(2, replace(READY, config_name="other"), UPDATING, UPDATING, READY)
    world.run()
    assert world.hosting.applied == [world.plan.endpoint]


def test_a_change_by_another_process_that_does_not_end_is_a_transient_error() -> None:
    world = Deploying(READY)
    world.hosting = Contended(10**9, READY)
    with pytest.raises(TransientError, match="is being changed"):
        world.run(timeout_s=0)
    nothing_live(world)


def test_ctrl_c_says_that_the_endpoint_is_still_being_changed() -> None:
    class Stopped(FakeHosting):
        def apply(self, request: EndpointRequest) -> None:
            self.states = []  # there is no answer to the next question

        def describe(self, endpoint: str) -> EndpointState | None:
            if not self.states:
                raise KeyboardInterrupt
            return super().describe(endpoint)

    world = Deploying(READY)
    world.hosting = Stopped(READY)
    with pytest.raises(Interrupted, match="endpoint churn is still being changed in SageMaker"):
        world.run()
    nothing_live(world)


def test_a_changed_artefact_is_not_deployed() -> None:
    world = Deploying(READY, body=churn.archive(contract={}))
    with pytest.raises(PermanentError, match="is not what was registered"):
        world.run()
    assert world.hosting.applied == []
    nothing_live(world)


def test_a_service_that_serves_another_version_stops_the_deployment() -> None:
    world = Deploying(READY, served="0.9")
    with pytest.raises(PermanentError, match=r"the service serves version 0\.9 after 1\.0 went live"):
        world.run()
    assert world.warehouse.texts == []


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_only_a_version_whose_probe_returns_a_number_becomes_production(score: float | None) -> None:
    world = Deploying(READY, score=score)
    with pytest.raises(PermanentError, match="answered, but not with a number"):
        world.run()
    assert world.warehouse.transactions == []
