"""Decides a deployment: the endpoint, the live record, the SQL functions.

A version that replaces another is deployed in two steps. First the endpoint has both as variants, so that queries that began
with the old version end with it; then it has the new one alone. The versions of an experiment that ends keep their weights in the
first step.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.deploy import built_in, function
from app.deploy.live import LiveVersion, live_uri
from app.deploy.overloads import Overload, claim_overloads, plan_functions
from app.deploy.rules import ServingRules
from app.ownership import BUCKET_TAG, TAG
from app.ports import EndpointRequest, Variant
from app.registry.gate import refuse_rejected
from app.registry.versions import RegisteredVersion
from app.settings import PlatformSettings
from app.spec import Pipeline
from app.spec.schema import ServingInstance
from app.sql import Name, Statement
from app.train.plan import IMAGE_VERSION
from sagemaker_entry.contract import Contract

#: How the XGBoost container finds the entry code in the artefact. PIP_NO_BUILD_ISOLATION=0 (sic) switches build isolation off:
#: the container installs the code folder with pip, which would otherwise ask a package index that a closed network lacks.
CONTAINER_ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": "sagemaker_entry.inference",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "PIP_NO_BUILD_ISOLATION": "0",
}

#: Seconds that the last call of a version may take; the gateway allows 29.
LAST_CALL_S = 30.0

#: The instance that configuration names do not mention.
_DEFAULT_INSTANCE = (ServingInstance().type, ServingInstance().min)


@dataclass(frozen=True)
class DeployPlan:
    """Everything that the stage does, in order."""

    version: RegisteredVersion
    #: ``endpoint``: while queries of the previous version may run; ``settled``: afterwards. None if the service itself scores.
    endpoint: EndpointRequest | None
    settled: EndpointRequest | None
    #: Without its times, which are set when the record is written.
    live: LiveVersion
    lead_s: float
    drain_s: float
    last_call_s: float
    live_uri: str
    #: The statements that make or change the SQL functions; none if they exist as wanted.
    functions: tuple[Statement, ...]
    probe: Statement
    #: Whether the registry then marks the version as ``production``.
    promotes: bool = True
    #: Both forms of the SQL function, with their argument types.
    forms: tuple[str, ...] = ()


def function_name(pipeline: Pipeline) -> Name:
    """The SQL function; in schema ML unless the pipeline names another."""
    name = Name.parse(pipeline.serving.function)
    return name if len(name.parts) > 1 else Name.of("ML", name.last)


def serving_rules(pipeline: Pipeline) -> ServingRules:
    """The pipeline's ``serving`` settings as the service reads them."""
    serving, batch = pipeline.serving, pipeline.batch
    return ServingRules(
        output=serving.output,
        reasons=serving.reasons,
        on_bad_row=serving.on_bad_row,
        absent_is_null=serving.absent == "null",
        payload=serving.payload,
        threshold=batch.threshold,
        labels=batch.labels,
    )


def plan_deploy(
    pipeline: Pipeline,
    version: RegisteredVersion,
    overloads: Sequence[Overload],
    standing: LiveVersion | None,
    platform: PlatformSettings,
) -> DeployPlan:
    """Deploy ``version``. Raises GateRefused for a rejected version.

    ``overloads``: the SQL functions of the pipeline's name that exist. ``standing``: the present live record, which this deployment
    replaces.
    """
    refuse_rejected(version)
    contract, entity, key = version.made_contract(), dict(pipeline.entity), pipeline.serving.key
    name = function_name(pipeline)
    rules = serving_rules(pipeline)
    if rules.payload == "csv":
        built_in.refuse_narrow(contract)
    wanted = forms_of(pipeline, contract, platform)
    claim_overloads(pipeline.name, name, overloads, [form.types for form in wanted], platform.gateway_url)
    reader = Name.parse(platform.reader_role) if platform.reader_role else None
    live = LiveVersion(
        model=pipeline.name,
        version=version.version,
        contract=contract,
        endpoint=pipeline.name,
        artifact_uri=version.artifact_uri,
        artifact_sha256=version.artifact_sha256,
        key=key,
        scorer=pipeline.serving.scorer,
        variant=variant_name(version.version, version.artifact_sha256, rules),
        rules=rules,
        by_hand=standing.by_hand if standing and standing.versions == {version.version: 1.0} else "",
    )
    last = standing if standing and (standing.artifact_sha256 != version.artifact_sha256 or standing.shares) else None
    hosted = live.scorer == "endpoint"
    return DeployPlan(
        version=version,
        endpoint=endpoint_of(pipeline, live, last if last and last.scorer == "endpoint" else None) if hosted else None,
        settled=endpoint_of(pipeline, live) if hosted else None,
        live=live,
        lead_s=platform.switch_lead_s if last else 0.0,
        drain_s=platform.drain_s if last else 0.0,
        last_call_s=LAST_CALL_S,
        live_uri=live_uri(platform.bucket, pipeline.name),
        functions=plan_functions(pipeline.name, wanted, overloads, reader),
        forms=tuple(f"{name}({', '.join(form.types)})" for form in wanted),
        probe=function.probe(name, contract, entity, key, rules.output),
    )


def forms_of(pipeline: Pipeline, contract: Contract, platform: PlatformSettings) -> tuple[function.Form, function.Form]:
    """Both forms of the SQL function for ``contract``."""
    return function.forms(
        function_name(pipeline),
        pipeline.name,
        contract,
        dict(pipeline.entity),
        pipeline.serving.key,
        Name.parse(platform.api_integration),
        platform.gateway_url,
        pipeline.serving.output,
    )


def endpoint_of(pipeline: Pipeline, live: LiveVersion, last: LiveVersion | None = None) -> EndpointRequest:
    """The endpoint with ``live``, or all versions of its experiment, and with ``last`` for the queries that began with it.

    Queries of an experiment may name no variant, so its weights stay until they have ended.
    """
    shares = _shares_of(live)
    name = _config_name(pipeline, live) + (f"-shares-{_digest(live)}" if live.shares else "")
    if last is not None and last.variant:
        before = _shares_of(last)
        if last.shares and shares.keys() <= before.keys():
            return endpoint_of(pipeline, last)
        name = f"{_config_name(pipeline, live)}-after-{_digest(last) if last.shares else last.artifact_sha256[:8]}"
        weights, others = (before, shares) if last.shares else (shares, before)
        shares = weights | {variant: (arm, 0.0) for variant, (arm, _) in others.items() if variant not in weights}
    return EndpointRequest(
        endpoint=pipeline.name,
        config_name=name,
        variants=tuple(_variant(pipeline, arm, weight) for arm, weight in shares.values()),
        tags={TAG: live.model, "snowsage:version": live.version, BUCKET_TAG: _bucket(live)},
    )


def _bucket(live: LiveVersion) -> str:
    return live.artifact_uri.removeprefix("s3://").partition("/")[0]


def _shares_of(live: LiveVersion) -> dict[str, tuple[LiveVersion, float]]:
    """Each version that answers and its share, by variant."""
    shares = [share.share for share in live.shares] or [1.0]
    return {arm.variant: (arm, share) for arm, share in zip(live.arms, shares, strict=True)}


def _digest(live: LiveVersion) -> str:
    """Identifies an experiment: its versions and their shares."""
    text = "\n".join(f"{share.variant} {share.share!r}" for share in live.shares)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _variant(pipeline: Pipeline, live: LiveVersion, weight: float) -> Variant:
    instance, csv = pipeline.serving.instance, live.rules.payload == "csv"
    return Variant(
        name=live.variant,
        model_name=_config_name(pipeline, live),
        image_version=IMAGE_VERSION,
        artifact_uri=built_in.archive_uri(live.artifact_uri) if csv else live.artifact_uri,
        environment={} if csv else CONTAINER_ENVIRONMENT,
        instance_type=instance.type,
        instance_count=instance.min,
        weight=weight,
    )


def _config_name(pipeline: Pipeline, live: LiveVersion) -> str:
    """The digest in the name makes a changed artefact, or another instance, a new model and a new configuration."""
    digest, instance = live.artifact_sha256, pipeline.serving.instance
    if (instance.type, instance.min) != _DEFAULT_INSTANCE:
        digest = hashlib.sha256(f"{digest} {instance.type} {instance.min}".encode()).hexdigest()
    return f"{live.model}-{live.version.replace('.', '-')}-{digest[:8]}{_suffix(live.rules)}"


def is_config_of(pipeline: Pipeline, name: str) -> bool:
    """Whether a deployment of this pipeline made the endpoint configuration, and not a person."""
    return re.match(rf"{re.escape(pipeline.name)}-\d+-\d+-[0-9a-f]{{8}}(-|$)", name) is not None


def variant_name(version: str, sha256: str, rules: ServingRules) -> str:
    return f"v{version.replace('.', '-')}-{sha256[:8]}{_suffix(rules)}"


def _suffix(rules: ServingRules) -> str:
    # Another container makes another model and another variant of the same artefact.
    return "" if rules.payload == "npy" else f"-{rules.payload}"
