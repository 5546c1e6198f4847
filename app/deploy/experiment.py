"""Decides an experiment: a registered version answers a share of the entities next to the live one. Pure.

The live version's contract and rules hold for both versions, even if the pipeline file has changed, so callers see no difference
except the scores. Both versions are variants of the endpoint, with their shares as weights.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from app.deploy import function
from app.deploy.live import LiveVersion, Share, live_uri
from app.deploy.plan import LAST_CALL_S, DeployPlan, endpoint_of, function_name, variant_name
from app.errors import CallerError
from app.registry.gate import refuse_rejected
from app.registry.versions import RegisteredVersion
from app.settings import PlatformSettings
from app.spec import Pipeline

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?|\.\d{1,6})(\s*%)?")


def parse_share(text: str) -> float:
    """``10%`` or ``0.1`` as a fraction. Raises CallerError for values that are not between 0 and 1."""
    found = _SHARE.fullmatch(text.strip())
    share = Decimal(found[1]) / (100 if found[2] else 1) if found else Decimal(0)
    if not 0 < share < 1:
        raise CallerError("--share must be between 0 and 1, both excluded; write 10% or 0.1")
    return float(share)


def plan_experiment(
    pipeline: Pipeline,
    challenger: RegisteredVersion,
    standing: LiveVersion | None,
    share: float,
    platform: PlatformSettings,
) -> DeployPlan:
    """Let ``challenger`` answer ``share`` of the entities next to the live version, whose record is ``standing``.

    Raises GateRefused for a rejected version, CallerError for one that cannot be compared with the live version.
    """
    refuse_rejected(challenger)
    live = _comparable(challenger, standing)
    shares = (
        Share(live.version, live.variant, float(1 - Decimal(str(share))), live.artifact_uri, live.artifact_sha256),
        Share(
            challenger.version,
            variant_name(challenger.version, challenger.artifact_sha256, live.rules),
            share,
            challenger.artifact_uri,
            challenger.artifact_sha256,
        ),
    )
    record = replace(live, shares=shares, live_from_s=0.0, last_until_s=0.0)
    endpoint = endpoint_of(pipeline, record) if live.scorer == "endpoint" else None
    return DeployPlan(
        version=challenger,
        endpoint=endpoint,
        settled=endpoint,
        live=record,
        lead_s=platform.switch_lead_s,
        drain_s=platform.drain_s,
        last_call_s=LAST_CALL_S,
        live_uri=live_uri(platform.bucket, pipeline.name),
        functions=(),
        probe=function.probe(
            function_name(pipeline), live.contract, dict(pipeline.entity), live.key, live.rules.output
        ),
        promotes=False,
    )


def _comparable(challenger: RegisteredVersion, standing: LiveVersion | None) -> LiveVersion:
    name, version = challenger.model, challenger.version
    if standing is None:
        raise CallerError(f"no version of {name} is live to compare {version} with; run `snowsage deploy` first")
    if version == standing.version:
        reason = (
            f"{standing.shares[1].version} is compared with it" if standing.shares else "it is the live version already"
        )
        raise CallerError(f"{name} {version} cannot be given a share: {reason}; name another version")
    if standing.shares and version != standing.shares[1].version:
        raise CallerError(
            f"{name} compares {standing.version} with {standing.shares[1].version} already; end that experiment first with "
            "`snowsage promote` without --share, or with `snowsage rollback`"
        )
    made = challenger.made_contract()
    if made != standing.contract:
        raise CallerError(
            f"{name} {version} has contract {made.fingerprint}, the live version {standing.version} has "
            f"{standing.contract.fingerprint}: versions with different features cannot share the entities; "
            "promote it without --share"
        )
    if standing.scorer == "endpoint" and not standing.variant:
        raise CallerError(
            f"{name} {standing.version} was deployed before variants had names; run `snowsage deploy` first"
        )
    return standing
