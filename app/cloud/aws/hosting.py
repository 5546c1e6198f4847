"""SageMaker hosting: implements ``ports.HostingService``, and ``ports.ScoringEndpoint``, the hot path to an endpoint.

Models and endpoint configurations are named after version and digest and never changed. One that exists under such a name is
the right one, so every step may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import local
from typing import Any

from botocore.exceptions import ClientError
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.cloud.aws.logs import log_tail
from app.cloud.aws.session import AwsSession, translated
from app.errors import CallerError, NotFound, SnowsageError, TransientError
from app.ports import EndpointRequest, EndpointState, Invocation, Invoked, Variant

_TRACE_CONTEXT = TraceContextTextMapPropagator()


class SageMakerHosting:
    """Models, configurations and endpoints under one execution role."""

    def __init__(self, session: AwsSession, role_arn: str) -> None:
        self._session = session
        self._role_arn = role_arn
        self._client = session.client("sagemaker")

    def describe(self, endpoint: str) -> EndpointState | None:
        try:
            with translated(f"reading the state of endpoint {endpoint}"):
                answer = self._client.describe_endpoint(EndpointName=endpoint)
        except NotFound:
            return None
        return EndpointState(answer["EndpointStatus"], answer["EndpointConfigName"], answer.get("FailureReason", ""))

    def apply(self, request: EndpointRequest) -> None:
        with translated(f"deploying endpoint {request.endpoint}"):
            tags = [{"Key": key, "Value": value} for key, value in request.tags.items()]
            for variant in request.variants:
                self._ensure("create_model", "model", self._model(variant, tags))
            self._ensure("create_endpoint_config", "endpoint configuration", self._config(request, tags))
            state = self.describe(request.endpoint)
            if state is not None and state.status == "Failed":
                # A failed endpoint cannot be updated, and serves no requests.
                self._client.delete_endpoint(EndpointName=request.endpoint)
                state = None
            names = {"EndpointName": request.endpoint, "EndpointConfigName": request.config_name}
            if state is None:
                self._create(names, tags)
            elif state.config_name != request.config_name:
                self._client.update_endpoint(**names)

    def _create(self, names: dict[str, str], tags: list[dict[str, str]]) -> None:
        try:
            self._client.create_endpoint(**names, Tags=tags)
        except ClientError as error:
            if "already exist" not in error.response["Error"].get("Message", ""):
                raise
            # A failed endpoint takes a while to be deleted.
            raise TransientError(
                f"endpoint {names['EndpointName']} is still being deleted; run it again in a minute"
            ) from error

    def log_tail(self, endpoint: str, lines: int) -> list[str]:
        return log_tail(self._session, f"/aws/sagemaker/Endpoints/{endpoint}", "", lines)

    def _model(self, variant: Variant, tags: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "ModelName": variant.model_name,
            "ExecutionRoleArn": self._role_arn,
            "PrimaryContainer": {
                "Image": xgboost_image(self._session.region, variant.image_version),
                "ModelDataUrl": variant.artifact_uri,
                "Environment": dict(variant.environment),
            },
            "EnableNetworkIsolation": True,
            "Tags": tags,
        }

    def _config(self, request: EndpointRequest, tags: list[dict[str, str]]) -> dict[str, Any]:
        variants = [
            {
                "VariantName": variant.name,
                "ModelName": variant.model_name,
                "InstanceType": variant.instance_type,
                "InitialInstanceCount": variant.instance_count,
                "InitialVariantWeight": variant.weight,
            }
            for variant in request.variants
        ]
        return {"EndpointConfigName": request.config_name, "ProductionVariants": variants, "Tags": tags}

    def _ensure(self, operation: str, what: str, arguments: dict[str, Any]) -> None:
        try:
            getattr(self._client, operation)(**arguments)
        except ClientError as error:
            text = error.response["Error"].get("Message", "")
            if f"Cannot create already existing {what}" not in text and "already exist" not in text:
                raise


class SageMakerEndpoint:
    """InvokeEndpoint, one attempt for each call: the caller has a time budget and decides about retries.

    A client's read timeout is fixed, but botocore takes another one from a request's context. So all requests share one
    connection pool, and each call's timeout is passed through a thread-local value.
    """

    def __init__(self, session: AwsSession, connections: int) -> None:
        self._client = session.client(
            "sagemaker-runtime",
            connect_timeout=2,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        self._limits = local()
        self._client.meta.events.register("before-call.sagemaker-runtime.InvokeEndpoint", self._limit)

    def _limit(self, context: dict[str, Any], **_: Any) -> None:
        context["read_timeout"] = self._limits.timeout_s

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
        self._limits.timeout_s = timeout_s
        target = ({"TargetVariant": invocation.variant} if invocation.variant else {}) | _trace()
        with translated(f"invoking endpoint {invocation.endpoint}"):
            try:
                answer = self._client.invoke_endpoint(
                    EndpointName=invocation.endpoint,
                    Body=invocation.body,
                    ContentType=invocation.content_type,
                    Accept=invocation.accept,
                    **target,
                )
            except ClientError as error:
                raise _refusal(invocation, error) or error from error
            return Invoked(answer["Body"].read(), answer.get("InvokedProductionVariant", ""))


def _trace() -> dict[str, str]:
    """The trace of this thread, if any, for the endpoint's own code, in the one header that SageMaker forwards."""
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    parent = carrier.get("traceparent")
    return {"CustomAttributes": f"traceparent={parent}"} if parent else {}


def _refusal(invocation: Invocation, error: ClientError) -> SnowsageError | None:
    """Translates errors of InvokeEndpoint that AWS's general codes do not cover: the container's own response, and an endpoint
    that does not exist yet.
    """
    endpoint, variant = invocation.endpoint, invocation.variant
    response: Mapping[str, Any] = error.response
    code, text = response["Error"].get("Code"), response["Error"].get("Message", "").lower()
    if code == "ModelError":
        status = int(response.get("OriginalStatusCode", 500))
        if 400 <= status < 500:
            return CallerError(f"the endpoint refuses the rows: {str(response.get('OriginalMessage', ''))[:300]}")
        return TransientError(f"endpoint {endpoint} failed with status {status}")
    if variant and code in ("ValidationError", "ValidationException") and "variant" in text:
        return NotFound(f"endpoint {endpoint} has no variant {variant} any more")
    if code in ("ValidationError", "ValidationException") and ("not found" in text or "not in service" in text):
        return TransientError(f"endpoint {endpoint} is not in service; deploy it, or try again in a minute")
    return None


def xgboost_image(region: str, version: str) -> str:
    """The URI of SageMaker's XGBoost image in a region, from the SDK's tables."""
    from sagemaker.core import image_uris

    try:
        return str(image_uris.retrieve(framework="xgboost", region=region, version=version))
    except ValueError as error:
        raise CallerError(f"SageMaker's XGBoost {version} is not available in region {region}: {error}") from error
