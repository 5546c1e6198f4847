"""SageMaker hosting: implements ``ports.HostingService``.

Models and endpoint configurations are named after version and digest and never changed. One that exists under such a name is
the right one, so every step may be repeated.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from app.cloud.aws.logs import log_tail
from app.cloud.aws.session import AwsSession, translated
from app.errors import Busy, CallerError, NotFound
from app.ports import EndpointRequest, EndpointState, Variant


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

    def tags(self, endpoint: str) -> dict[str, str] | None:
        try:
            with translated(f"reading the tags of endpoint {endpoint}"):
                arn = self._client.describe_endpoint(EndpointName=endpoint)["EndpointArn"]
                pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
                return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        except NotFound:
            return None

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
            if state is not None and state.changing:
                raise _busy(request.endpoint)
            if state is None:
                self._create(names, tags)
            elif state.config_name != request.config_name:
                self._update(names)

    def _update(self, names: dict[str, str]) -> None:
        try:
            self._client.update_endpoint(**names)
        except ClientError as error:
            if "in-progress" not in error.response["Error"].get("Message", ""):
                raise
            raise _busy(names["EndpointName"]) from error

    def _create(self, names: dict[str, str], tags: list[dict[str, str]]) -> None:
        try:
            self._client.create_endpoint(**names, Tags=tags)
        except ClientError as error:
            if "already exist" not in error.response["Error"].get("Message", ""):
                raise
            # A failed endpoint takes a while to be deleted, or another process has just created it.
            raise Busy(
                f"endpoint {names['EndpointName']} is still being deleted or created; run it again in a minute"
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


def _busy(endpoint: str) -> Busy:
    return Busy(f"endpoint {endpoint} is being changed; try again when it is in service")


def xgboost_image(region: str, version: str) -> str:
    """The URI of SageMaker's XGBoost image in a region, from the SDK's tables."""
    from sagemaker.core import image_uris

    try:
        return str(image_uris.retrieve(framework="xgboost", region=region, version=version))
    except ValueError as error:
        raise CallerError(f"SageMaker's XGBoost {version} is not available in region {region}: {error}") from error
