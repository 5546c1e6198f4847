"""An endpoint: running variants behind a name, replaced as a whole by an update.

An update that fails leaves the endpoint InService on the old configuration, with a FailureReason.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from localcloud.aws.account import Account
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.http.protocol import AwsError, Params
from localcloud.aws.sagemaker.hosting.data_capture import DataCapture
from localcloud.aws.sagemaker.inference.container import InferenceContainer, StartFailure
from localcloud.aws.sagemaker.models import container_definition
from localcloud.aws.sagemaker.timestamps import now

LOG_GROUP = "/aws/sagemaker/Endpoints/"
_POLL_S = 0.02


@dataclass
class Variant:
    """A variant with its running container.

    ``settings``: the variant of CreateEndpointConfig. ``in_flight``: invocations that chose the variant and have not ended.
    """

    settings: Params
    image: str
    container: InferenceContainer
    log: LogStream
    weight: float
    count: int
    in_flight: int = 0

    @property
    def name(self) -> str:
        """The variant's name, which responses carry in a header."""
        return str(self.settings["VariantName"])

    def describe(self) -> Params:
        """The variant in DescribeEndpoint."""
        return {
            "VariantName": self.name,
            "DeployedImages": [{"SpecifiedImage": self.image, "ResolvedImage": self.image}],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.count,
            "DesiredInstanceCount": self.count,
        }


@dataclass(frozen=True)
class DeploymentPlan:
    """The content of an endpoint configuration: each variant's settings with the request of its CreateModel."""

    config: str
    parts: Sequence[tuple[Params, Params]]
    shadow_parts: Sequence[tuple[Params, Params]] = ()
    capture: Params | None = None
    asynchronous: Params | None = None


@dataclass
class _Deployment:
    """The running containers of a plan."""

    plan: DeploymentPlan
    variants: list[Variant]
    shadows: list[Variant]
    capture: DataCapture | None

    def end(self) -> None:
        for variant in self.variants + self.shadows:
            variant.container.stop()
            variant.log.close()
        if self.capture is not None:
            self.capture.close()


class Endpoint:
    """One endpoint. ``deploy`` and ``close`` block; callers run them in a thread."""

    def __init__(self, account: Account, name: str, arn: str) -> None:
        self._account = account
        self.name = name
        self.arn = arn
        self.status = "Creating"
        self.config = ""
        self.failure: str | None = None
        self.created = self.modified = now()
        self._deployment: _Deployment | None = None
        self._closed = threading.Event()
        self._guard = threading.Lock()

    @property
    def capture(self) -> DataCapture | None:
        """The data capture, if the configuration enables it."""
        return self._deployment.capture if self._deployment else None

    @property
    def asynchronous(self) -> Params | None:
        """The AsyncInferenceConfig, if the endpoint is asynchronous."""
        return self._deployment.plan.asynchronous if self._deployment else None

    def begin(self, status: str, config: str | None = None) -> None:
        """Enter Creating, Updating or Deleting."""
        self.status = status
        self.failure = None
        self.modified = now()
        if config is not None and self._deployment is None:
            self.config = config

    def deploy(self, plan: DeploymentPlan, retained: bool = False) -> None:
        """Start the plan's containers, switch traffic to them, then end the previous ones. A plan that fails does not raise.

        ``retained``: variants keep their present weights and counts (RetainAllVariantProperties).
        """
        fresh = _Deployment(plan, [], [], None)
        try:
            for parts, variants in ((plan.parts, fresh.variants), (plan.shadow_parts, fresh.shadows)):
                for settings, model in parts:
                    variants.append(self._start(settings, model))
        except StartFailure as failure:
            fresh.end()
            self._finish("InService" if self._deployment else "Failed", str(failure))
            return
        if plan.capture is not None:
            fresh.capture = DataCapture(self._account, self.name, plan.capture)
        with self._guard:
            old, self._deployment = self._deployment, fresh
            self.config = plan.config
        if retained and old is not None:
            _retain(old.variants, fresh.variants)
        if self._closed.is_set():
            self.close()
        self._finish("InService", None)
        if old is not None:
            _drain(old, self._account.limits.invocation_s)
            old.end()

    def close(self) -> None:
        """End all containers."""
        self._closed.set()
        with self._guard:
            old, self._deployment = self._deployment, None
        if old is not None:
            old.end()

    @contextmanager
    def choose(self, target: str | None) -> Iterator[Variant]:
        """The variant for one invocation, ``target`` if given, else drawn by weight. An update lets the invocation end first."""
        # Choosing and counting are one step, so that an update does not stop a container between the two.
        with self._guard:
            variant = self._choose(target)
            variant.in_flight += 1
        try:
            yield variant
        finally:
            with self._guard:
                variant.in_flight -= 1

    @contextmanager
    def use(self, shadow: Variant) -> Iterator[None]:
        """Count one copy for a shadow variant, so that an update lets it end first."""
        with self._guard:
            shadow.in_flight += 1
        try:
            yield
        finally:
            with self._guard:
                shadow.in_flight -= 1

    def _choose(self, target: str | None) -> Variant:
        variants = self._variants()
        if not variants:
            raise AwsError("ValidationError", f"Endpoint {self.name} of account {self._account.id} not found.")
        if target is not None:
            for variant in variants:
                if variant.name == target:
                    return variant
            raise AwsError("ValidationError", f"Variant {target} not found for endpoint {self.name}.")
        if len(variants) == 1:
            return variants[0]
        weights = [variant.weight for variant in variants]
        if not any(weights):
            raise AwsError("ValidationError", f"Endpoint {self.name} has no variant with a weight above 0.")
        return random.choices(variants, weights)[0]  # noqa: S311 (traffic sampling, not a secret)

    def shadows_of(self, variant: Variant) -> list[Variant]:
        """The shadow variants that get a copy of this invocation, drawn by their weight relative to ``variant``'s."""
        shadows = self._deployment.shadows if self._deployment else []
        share = random.random() * variant.weight  # noqa: S311 (traffic sampling, not a secret)
        return [shadow for shadow in shadows if share < shadow.weight]

    def kill(self) -> None:
        """End every variant's process as a crash would; each is restarted."""
        for variant in self._variants():
            variant.container.kill()

    def _variants(self) -> list[Variant]:
        deployment = self._deployment
        return deployment.variants if deployment else []

    def set_weights(self, desired: list[Params]) -> None:
        """Apply UpdateEndpointWeightsAndCapacities to the running variants."""
        known = {variant.name: variant for variant in self._variants()}
        for entry in desired:
            if entry["VariantName"] not in known:
                raise AwsError("ValidationException", f'Could not find variant "{entry["VariantName"]}".')
        for entry in desired:
            variant = known[entry["VariantName"]]
            variant.weight = float(entry.get("DesiredWeight", variant.weight))
            variant.count = int(entry.get("DesiredInstanceCount", variant.count))
        self.modified = now()

    def describe(self) -> Params:
        """The response of DescribeEndpoint."""
        answer: dict[str, Any] = {**self.summary(), "EndpointConfigName": self.config}
        if (deployment := self._deployment) is not None:
            answer["ProductionVariants"] = [variant.describe() for variant in deployment.variants]
            if deployment.shadows:
                answer["ShadowProductionVariants"] = [variant.describe() for variant in deployment.shadows]
            if deployment.capture is not None:
                answer["DataCaptureConfig"] = deployment.capture.describe()
            if deployment.plan.asynchronous is not None:
                answer["AsyncInferenceConfig"] = deployment.plan.asynchronous
        if self.failure:
            answer["FailureReason"] = self.failure
        return answer

    def summary(self) -> Params:
        """The endpoint in ListEndpoints."""
        return {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "EndpointStatus": self.status,
        }

    def _start(self, settings: Params, model: Params) -> Variant:
        if self._closed.is_set():
            raise StartFailure("The endpoint was deleted.")
        name = settings["VariantName"]
        instance = uuid.uuid4().hex[:17]
        log = LogStream(self._account.logs, LOG_GROUP + self.name, f"{name}/i-{instance}")
        definition = container_definition(model)
        container = InferenceContainer(
            self._account,
            definition,
            self._account.work_dir / "endpoints" / f"{self.name}-{instance}",
            log,
            isolated=bool(model.get("EnableNetworkIsolation")),
        )
        startup_s = settings.get("ContainerStartupHealthCheckTimeoutInSeconds", self._account.limits.startup_s)
        try:
            container.start(name, startup_s, self._closed)
        except StartFailure:
            container.stop()
            log.close()
            raise
        weight = float(settings.get("InitialVariantWeight", 1.0))
        count = int(settings.get("InitialInstanceCount", 1))
        return Variant(settings, definition.get("Image", ""), container, log, weight, count)

    def _finish(self, status: str, failure: str | None) -> None:
        self.failure = failure
        self.modified = now()
        if self.status != "Deleting":
            self.status = status


def _drain(old: _Deployment, limit_s: float) -> None:
    """Wait until the invocations of these variants have ended, at most ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while any(variant.in_flight for variant in old.variants + old.shadows) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _retain(old: list[Variant], fresh: list[Variant]) -> None:
    before = {variant.name: variant for variant in old}
    for variant in fresh:
        if variant.name in before:
            variant.weight, variant.count = before[variant.name].weight, before[variant.name].count
