"""Put a version live: endpoint in service, record written, service told, functions created, one row sent all the way.

Every step may be repeated. The order matters: callers see the new version only when the endpoint answers with it, and the
registry says ``production`` only when a row has come back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.deploy.plan import DeployPlan
from app.errors import PermanentError, TransientError
from app.ports import HostingService, ObjectStore, ServiceControl, Warehouse
from app.registry.artifact import fetched
from app.registry.versions import promote

#: Statuses of an endpoint that cannot be changed until they are over.
CHANGING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}

#: Container log lines shown with a failed endpoint.
LOG_LINES = 20


@dataclass(frozen=True)
class Deployment:
    """What the deploy stage hands down."""

    model: str
    version: str
    endpoint: str
    functions: tuple[str, ...]


def run_deploy(
    plan: DeployPlan,
    warehouse: Warehouse,
    store: ObjectStore,
    hosting: HostingService,
    service: ServiceControl,
    poll_s: float,
    timeout_s: float,
    tell: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Deploy, and see a row come back. Raises PermanentError where the artefact or the endpoint is not what it should be."""
    version = plan.version
    tell("verifying the artefact's digest")
    with fetched(store, version.artifact_uri, version.artifact_sha256):
        pass  # fetching verifies it; the endpoint fetches its own copy
    _wait_until_settled(plan, hosting, poll_s, timeout_s, tell)
    hosting.apply(plan.endpoint)
    _wait_in_service(plan, hosting, poll_s, timeout_s, tell)
    store.write(plan.live_uri, plan.live.to_json())
    tell("telling the service")
    served = service.refresh(plan.live.model)
    if served.get("version") != version.version:
        raise PermanentError(
            f"the service answers with version {served.get('version')} after {version.version} went live"
        )
    for statement in plan.functions:
        warehouse.run(statement)
    tell("sending one row through SQL, gateway, service and endpoint")
    score = warehouse.run(plan.probe).scalar()
    if score is None or not math.isfinite(score):
        raise PermanentError("the SQL function answered, but not with a number")
    warehouse.run_atomically(promote(version.model, version.version))
    created = tuple(text.text.partition("\n")[0] for text in plan.functions if text.text.startswith("CREATE"))
    return Deployment(version.model, version.version, plan.endpoint.endpoint, created)


def _wait_until_settled(
    plan: DeployPlan, hosting: HostingService, poll_s: float, timeout_s: float, tell: Callable[[str], None]
) -> None:
    """Let a change that is under way end, this run's own of an earlier start among them: AWS takes no second one."""
    name, deadline = plan.endpoint.endpoint, time.monotonic() + timeout_s
    while (state := hosting.describe(name)) is not None and state.status in CHANGING:
        tell(f"endpoint {name}: {state.status}, begun earlier")
        if time.monotonic() > deadline:
            raise TransientError(f"endpoint {name} is still {state.status} after {timeout_s:.0f} s; run it again later")
        time.sleep(poll_s)


def _wait_in_service(
    plan: DeployPlan, hosting: HostingService, poll_s: float, timeout_s: float, tell: Callable[[str], None]
) -> None:
    wanted, deadline = plan.endpoint, time.monotonic() + timeout_s
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
