"""Endpoint operations: create, describe, update, delete and list, over containers that really serve.

In: validated requests. Out: AWS's answers at once, with the work done in a thread. The surprise: traffic is always
shifted all at once; canary and linear shifting in ``DeploymentConfig`` are accepted and not imitated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.hosting.endpoint import Endpoint, Release
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.tags import Tags


class Hosting:
    """The account's endpoints."""

    def __init__(self, cloud: Cloud, models: Models, tags: Tags) -> None:
        self._cloud = cloud
        self._models = models
        self._tags = tags
        self._endpoints: dict[str, Endpoint] = {}
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

    def operations(self) -> dict[str, Handler]:
        """Operation to handler."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": lambda params: self._find(params).describe(),
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.weigh,
            "DeleteEndpoint": self.delete,
            "ListEndpoints": self.list,
        }

    def create(self, params: Params) -> Params:
        """Creating from now on."""
        name = params["EndpointName"]
        release = self._release(params)
        endpoint = Endpoint(self._cloud, name, self._cloud.arn("endpoint", name))
        with self._guard:
            if name in self._endpoints:
                raise ValidationException(f'Cannot create already existing endpoint "{endpoint.arn}".')
            self._endpoints[name] = endpoint
        endpoint.begin("Creating", release.config)
        self._tags.keep(endpoint.arn, params.get("Tags", []))
        self._work(endpoint.roll_out, release)
        return {"EndpointArn": endpoint.arn}

    def update(self, params: Params) -> Params:
        """The present release serves until the new one is healthy."""
        endpoint = self._settled(params)
        release = self._release(params)
        if params.get("ExcludeRetainedVariantProperties"):
            raise unsupported("ExcludeRetainedVariantProperties")
        endpoint.begin("Updating")
        self._work(endpoint.roll_out, release, bool(params.get("RetainAllVariantProperties")))
        return {"EndpointArn": endpoint.arn}

    def weigh(self, params: Params) -> Params:
        """New shares of the traffic, at once."""
        endpoint = self._settled(params)
        endpoint.set_weights(params["DesiredWeightsAndCapacities"])
        return {"EndpointArn": endpoint.arn}

    def delete(self, params: Params) -> None:
        """Deleting, then gone."""
        endpoint = self._settled(params)
        endpoint.begin("Deleting")

        def remove() -> None:
            endpoint.close()
            with self._guard:
                self._endpoints.pop(endpoint.name, None)
            self._tags.forget(endpoint.arn)

        self._work(remove)

    def list(self, params: Params) -> Params:
        """Summaries, filtered and paged."""
        return paging.page(
            (endpoint.summary() for endpoint in list(self._endpoints.values())),
            params,
            name="EndpointName",
            status="EndpointStatus",
            key="Endpoints",
        )

    def serving(self, name: str) -> Endpoint:
        """The endpoint for an invocation, or the runtime's own error."""
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise AwsError("ValidationError", f"Endpoint {name} of account {self._cloud.account} not found.")
        return endpoint

    def kill(self, name: str) -> None:
        """End the processes behind an endpoint as a crash would; an endpoint that is not there is no error."""
        endpoint = self._endpoints.get(name)
        if endpoint is not None:
            endpoint.kill()

    def close(self) -> None:
        """End every container and wait for the work in hand."""
        for endpoint in list(self._endpoints.values()):
            endpoint.close()
        for thread in self._threads:
            thread.join()
        for endpoint in list(self._endpoints.values()):
            endpoint.close()

    def _find(self, params: Params) -> Endpoint:
        endpoint = self._endpoints.get(params["EndpointName"])
        if endpoint is None:
            arn = self._cloud.arn("endpoint", params["EndpointName"])
            raise ValidationException(f'Could not find endpoint "{arn}".')
        return endpoint

    def _settled(self, params: Params) -> Endpoint:
        endpoint = self._find(params)
        if endpoint.status not in ("InService", "Failed"):
            raise ValidationException(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return endpoint

    def _release(self, params: Params) -> Release:
        config = self._models.configs.find(params["EndpointConfigName"])
        capture = config.get("DataCaptureConfig")
        return Release(
            params["EndpointConfigName"],
            self._parts(config["ProductionVariants"]),
            self._parts(config.get("ShadowProductionVariants", [])),
            capture if capture and capture.get("EnableCapture") else None,
            config.get("AsyncInferenceConfig"),
        )

    def _parts(self, variants: Iterable[Params]) -> Sequence[tuple[Params, Params]]:
        return [(variant, self._models.models.find(variant["ModelName"])) for variant in variants]

    def _work(self, action: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=action, args=args, name="hosting", daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()
