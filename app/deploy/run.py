"""Makes a version live: endpoint, record, service, SQL functions, and one row sent through all of them; then removes the previous
version once its queries have ended.

Every step may be repeated. The order matters: callers see the new version only once the endpoint answers with it, and the
registry marks it as ``production`` only once a row has come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from app.deploy import built_in
from app.deploy.live import LiveVersion, read_live
from app.deploy.plan import DeployPlan
from app.deploy.result import Deployment
from app.errors import Busy, Interrupted, PermanentError, TransientError
from app.ports import EndpointRequest, HostingService, ObjectStore, ServiceControl, Warehouse
from app.registry.artifact import fetched
from app.registry.versions import promote
from sagemaker_entry.model import MODEL_FILE

#: Container log lines shown with a failed endpoint.
LOG_LINES = 20


def run_deploy(
    plan: DeployPlan,
    warehouse: Warehouse,
    store: ObjectStore,
    hosting: HostingService,
    service: ServiceControl,
    poll_s: float,
    timeout_s: float,
    tell: Callable[[str], None] = lambda _: None,
    live: Callable[[], None] = lambda: None,
) -> Deployment:
    """Deploy, and send one row through SQL. ``live``: called once the version answers, before the previous one's queries end.

    Raises PermanentError for a wrong artefact or an endpoint that does not serve.
    """
    version = plan.version
    tell("verifying the artefact's digest")
    with fetched(store, version.artifact_uri, version.artifact_sha256) as artifact:  # the endpoint fetches its own copy
        if plan.live.rules.payload == "csv":
            store.write(built_in.archive_uri(version.artifact_uri), built_in.archive(artifact.folder / MODEL_FILE))
    if plan.endpoint is not None:
        found = read_live(store, plan.live_uri)
        if found is not None and plan.endpoint == plan.settled and not _holds(plan.endpoint, hosting):
            # An interrupted run may have started the settled endpoint.
            _let_last_end(found, plan.last_call_s, poll_s, tell)
        _put_in_service(plan.endpoint, hosting, poll_s, timeout_s, tell)
    record = _stamped(plan, store)
    store.write(plan.live_uri, record.to_json())
    tell("refreshing the service")
    served = service.refresh(plan.live.model)
    if served.get("version") != plan.live.version:
        raise PermanentError(f"the service serves version {served.get('version')} after {plan.live.version} went live")
    _wait_until(record.live_from_s, poll_s, lambda left: tell(f"all replicas switch in {left:.0f} s"))
    for statement in plan.functions:
        warehouse.run(statement)
    tell("sending one row through SQL, gateway, service and endpoint")
    score = warehouse.run(plan.probe).scalar()
    if score is None or not math.isfinite(score):
        raise PermanentError("the SQL function answered, but not with a number")
    if plan.promotes:
        warehouse.run_atomically(promote(version.model, version.version))
    live()
    if plan.settled is not None and plan.settled != plan.endpoint:
        _let_last_end(record, plan.last_call_s, poll_s, tell)
        _put_in_service(plan.settled, hosting, poll_s, timeout_s, tell)
    return Deployment(version.model, version.version, plan.live.endpoint if plan.endpoint else "", plan.forms)


def _stamped(plan: DeployPlan, store: ObjectStore) -> LiveVersion:
    """The record with its times; an interrupted run of the same deployment may have set them already."""
    found = read_live(store, plan.live_uri)
    if found is not None and replace(found, live_from_s=0.0, last_until_s=0.0) == plan.live:
        return found
    live_from_s = time.time() + plan.lead_s
    return replace(plan.live, live_from_s=live_from_s, last_until_s=live_from_s + plan.drain_s)


def _let_last_end(record: LiveVersion, last_call_s: float, poll_s: float, tell: Callable[[str], None]) -> None:
    if record.last_until_s > record.live_from_s:
        over_s = record.last_until_s + last_call_s
        _wait_until(over_s, poll_s, lambda left: tell(f"waiting {left:.0f} s for queries of the previous version"))


def _holds(wanted: EndpointRequest, hosting: HostingService) -> bool:
    state = hosting.describe(wanted.endpoint)
    return state is not None and state.config_name == wanted.config_name


def _wait_until(moment_s: float, poll_s: float, tell: Callable[[float], None]) -> None:
    while (left := moment_s - time.time()) > 0:
        tell(left)
        time.sleep(min(left, max(poll_s, 0.05)))


def _put_in_service(
    wanted: EndpointRequest,
    hosting: HostingService,
    poll_s: float,
    timeout_s: float,
    tell: Callable[[str], None],
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        _wait_until_settled(wanted.endpoint, hosting, poll_s, timeout_s, tell)
        try:
            hosting.apply(wanted)
            break
        except Busy:  # another process began a change after this one had looked
            if time.monotonic() > deadline:
                raise
            time.sleep(poll_s)
    try:
        _wait_in_service(wanted, hosting, poll_s, timeout_s, tell)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"endpoint {wanted.endpoint} is still being changed in SageMaker. Start the same command again to wait for it and "
            "continue"
        ) from stop


def _wait_until_settled(
    name: str, hosting: HostingService, poll_s: float, timeout_s: float, tell: Callable[[str], None]
) -> None:
    """Wait until a change in progress ends, which an earlier start of this run may have made: AWS accepts no second one."""
    deadline = time.monotonic() + timeout_s
    while (state := hosting.describe(name)) is not None and state.changing:
        tell(f"endpoint {name}: {state.status}, started earlier")
        if time.monotonic() > deadline:
            raise TransientError(f"endpoint {name} is still {state.status} after {timeout_s:.0f} s; run it again later")
        time.sleep(poll_s)


def _wait_in_service(
    wanted: EndpointRequest, hosting: HostingService, poll_s: float, timeout_s: float, tell: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        state = hosting.describe(wanted.endpoint)
        status = state.status if state else "absent"
        tell(f"endpoint {wanted.endpoint}: {status}")
        if state is not None and state.status == "InService" and state.config_name == wanted.config_name:
            return
        if state is not None and state.status in ("Failed", "InService", "UpdateRollbackFailed"):
            lines = hosting.log_tail(wanted.endpoint, LOG_LINES)
            shown = "\n".join(f"    {line}" for line in lines) or "    (no log lines)"
            raise PermanentError(
                f"endpoint {wanted.endpoint} does not serve {wanted.config_name}: {state.reason or state.status}\n"
                f"  its containers' last log lines:\n{shown}"
            )
        if time.monotonic() > deadline:
            raise TransientError(
                f"endpoint {wanted.endpoint} is still {status} after {timeout_s:.0f} s; run it again later"
            )
        time.sleep(poll_s)
