"""Endpoint operations: responses come at once, and a thread starts and ends the containers.

Traffic is always shifted all at once: canary and linear shifting in ``DeploymentConfig`` are accepted and ignored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import AwsError, Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.hosting.configurations import EndpointConfigs
from localcloud.aws.sagemaker.hosting.endpoint import DeploymentPlan, Endpoint
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.tags import Tags


class Hosting:
    """The account's endpoints."""

    def __init__(self, account: Account, configs: EndpointConfigs, models: Models, tags: Tags) -> None:
        self._account = account
        self._configs = configs
        self._models = models
        self._tags = tags
        self._endpoints: dict[str, Endpoint] = {}
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": lambda params: self._find(params).describe(),
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DeleteEndpoint": self.delete,
            "ListEndpoints": self.list,
        }

    def create(self, params: Params) -> Params:
        """Start an endpoint; its status is Creating."""
        name = params["EndpointName"]
        plan = self._plan(params)
        endpoint = Endpoint(self._account, name, self._account.arn("endpoint", name))
        with self._guard:
            if name in self._endpoints:
                raise ValidationException(f'Cannot create already existing endpoint "{endpoint.arn}".')
            self._endpoints[name] = endpoint
        endpoint.begin("Creating", plan.config)
        self._tags.set(endpoint.arn, params.get("Tags", []))
        self._run(endpoint.deploy, plan)
        return {"EndpointArn": endpoint.arn}

    def update(self, params: Params) -> Params:
        """Deploy another configuration; the present containers serve until the new ones are healthy."""
        endpoint = self._modifiable(params)
        plan = self._plan(params)
        if params.get("ExcludeRetainedVariantProperties"):
            raise unsupported("ExcludeRetainedVariantProperties")
        endpoint.begin("Updating")
        self._run(endpoint.deploy, plan, bool(params.get("RetainAllVariantProperties")))
        return {"EndpointArn": endpoint.arn}

    def update_weights(self, params: Params) -> Params:
        """Change the variants' weights and counts at once."""
        endpoint = self._modifiable(params)
        endpoint.set_weights(params["DesiredWeightsAndCapacities"])
        return {"EndpointArn": endpoint.arn}

    def delete(self, params: Params) -> None:
        """Start deleting; the status is Deleting until the containers have ended."""
        endpoint = self._modifiable(params)
        endpoint.begin("Deleting")

        def remove() -> None:
            endpoint.close()
            with self._guard:
                self._endpoints.pop(endpoint.name, None)
            self._tags.remove(endpoint.arn)

        self._run(remove)

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
        """The endpoint for an invocation; raises the runtime's error if there is none."""
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise AwsError("ValidationError", f"Endpoint {name} of account {self._account.id} not found.")
        return endpoint

    def kill(self, name: str) -> None:
        """End an endpoint's processes as a crash would. An unknown endpoint is ignored."""
        endpoint = self._endpoints.get(name)
        if endpoint is not None:
            endpoint.kill()

    def close(self) -> None:
        """End all containers and wait for running operations."""
        self._close_endpoints()
        for thread in self._threads:
            thread.join()
        # An operation that was running may have started containers.
        self._close_endpoints()

    def _close_endpoints(self) -> None:
        with ThreadPoolExecutor(thread_name_prefix="hosting") as pool:
            list(pool.map(Endpoint.close, list(self._endpoints.values())))

    def _find(self, params: Params) -> Endpoint:
        endpoint = self._endpoints.get(params["EndpointName"])
        if endpoint is None:
            arn = self._account.arn("endpoint", params["EndpointName"])
            raise ValidationException(f'Could not find endpoint "{arn}".')
        return endpoint

    def _modifiable(self, params: Params) -> Endpoint:
        endpoint = self._find(params)
        if endpoint.status not in ("InService", "Failed"):
            raise ValidationException(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return endpoint

    def _plan(self, params: Params) -> DeploymentPlan:
        config = self._configs.find(params["EndpointConfigName"])
        capture = config.get("DataCaptureConfig")
        return DeploymentPlan(
            params["EndpointConfigName"],
            self._parts(config["ProductionVariants"]),
            self._parts(config.get("ShadowProductionVariants", [])),
            capture if capture and capture.get("EnableCapture") else None,
            config.get("AsyncInferenceConfig"),
        )

    def _parts(self, variants: Iterable[Params]) -> Sequence[tuple[Params, Params]]:
        return [(variant, self._models.find(variant["ModelName"])) for variant in variants]

    def _run(self, action: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=action, args=args, name="hosting", daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]
        thread.start()
