"""Decide a deployment: the endpoint, the record of what is live, the SQL functions."""

from __future__ import annotations

from dataclasses import dataclass

from app.deploy import function
from app.deploy.live import LiveVersion, live_uri
from app.deploy.rules import ServingRules
from app.ports import EndpointRequest
from app.registry.gate import refuse_rejected
from app.registry.versions import RegisteredVersion
from app.settings import PlatformSettings
from app.spec import Pipeline
from app.sql import Name, Statement
from app.train.plan import IMAGE_VERSION

#: How the XGBoost container finds the entry code in the artefact. PIP_NO_BUILD_ISOLATION=0 (sic) switches build isolation off:
#: the container installs the code folder with pip, which would otherwise ask a package index that a closed network lacks.
CONTAINER_ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": "sagemaker_entry.inference",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "PIP_NO_BUILD_ISOLATION": "0",
}


@dataclass(frozen=True)
class DeployPlan:
    """Everything the stage does, in its order."""

    version: RegisteredVersion
    endpoint: EndpointRequest
    live: LiveVersion
    live_uri: str
    functions: tuple[Statement, ...]
    probe: Statement


def function_name(pipeline: Pipeline) -> Name:
    """The SQL function; in schema ML unless the pipeline names another."""
    name = Name.parse(pipeline.serving.function)
    return name if len(name.parts) > 1 else Name.of("ML", name.last)


def serving_rules(pipeline: Pipeline) -> ServingRules:
    """What the service is told about its answers."""
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
    pipeline: Pipeline, version: RegisteredVersion, others: list[RegisteredVersion], platform: PlatformSettings
) -> DeployPlan:
    """Deploy ``version``. Raises GateRefused where the gate rejected it. ``others``: the model's other versions."""
    refuse_rejected(version)
    contract, entity, key = version.made_contract(), dict(pipeline.entity), pipeline.serving.key
    name = function_name(pipeline)
    integration = Name.parse(platform.api_integration)
    outdated = {item.made_contract() for item in others}
    typed = function.arguments(contract, entity, key)
    drops = sorted(
        {
            function.drop_typed(name, old, entity, key).text
            for old in outdated
            if [kind for _, kind in function.arguments(old, entity, key)] != [kind for _, kind in typed]
        }
    )
    role = Name.parse(platform.reader_role) if platform.reader_role else None
    grants = function.grant_functions(name, contract, entity, key, role) if role else []
    rules = serving_rules(pipeline)
    creates = function.create_functions(
        name, pipeline.name, contract, entity, key, integration, platform.gateway_url, rules.output
    )
    return DeployPlan(
        version=version,
        endpoint=_endpoint(pipeline, version),
        live=LiveVersion(
            model=pipeline.name,
            version=version.version,
            contract=contract,
            endpoint=pipeline.name,
            artifact_uri=version.artifact_uri,
            artifact_sha256=version.artifact_sha256,
            key=key,
            rules=rules,
        ),
        live_uri=live_uri(platform.bucket, pipeline.name),
        functions=(*(Statement(text) for text in drops), *creates, *grants),
        probe=function.probe(name, contract, entity, key, rules.output),
    )


def _endpoint(pipeline: Pipeline, version: RegisteredVersion) -> EndpointRequest:
    instance = pipeline.serving.instance
    return EndpointRequest(
        endpoint=pipeline.name,
        # The digest in the name makes a changed artefact another configuration.
        config_name=f"{pipeline.name}-{version.version.replace('.', '-')}-{version.artifact_sha256[:8]}",
        image_version=IMAGE_VERSION,
        artifact_uri=version.artifact_uri,
        environment=CONTAINER_ENVIRONMENT,
        instance_type=instance.type,
        instance_count=instance.min,
        tags={"snowsage:pipeline": version.model, "snowsage:version": version.version},
    )
