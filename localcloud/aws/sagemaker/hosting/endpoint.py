"""A running endpoint: variants behind a name, replaced as a whole when the endpoint is updated.

In: an endpoint configuration with its models. Out: a status that changes over time and a variant for each call. The
surprise: an update that fails leaves the endpoint InService on the old configuration, with a FailureReason.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.aws.account import Cloud
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.http.protocol import AwsError, Params
from localcloud.aws.sagemaker.hosting.data_capture import Capture
from localcloud.aws.sagemaker.inference.container import Replica, StartFailure
from localcloud.aws.sagemaker.training.job import now

LOG_GROUP = "/aws/sagemaker/Endpoints/"
# From choosing a variant to the call into it.
_CHOSEN_S = 0.2
_POLL_S = 0.02


@dataclass
class Variant:
    """A share of the traffic: CreateEndpointConfig's ProductionVariant with its running container."""

    settings: Params
    image: str
    replica: Replica
    log: LogStream
    weight: float
    count: int

    @property
    def name(self) -> str:
        """The variant's name, which comes back in the answers' header."""
        return str(self.settings["VariantName"])

    def describe(self) -> Params:
        """The variant as DescribeEndpoint shows it."""
        return {
            "VariantName": self.name,
            "DeployedImages": [{"SpecifiedImage": self.image, "ResolvedImage": self.image}],
            "CurrentWeight": self.weight,
            "DesiredWeight": self.weight,
            "CurrentInstanceCount": self.count,
            "DesiredInstanceCount": self.count,
        }


@dataclass(frozen=True)
class Release:
    """What a configuration asks for: each variant's settings with its model as CreateModel took it."""

    config: str
    parts: Sequence[tuple[Params, Params]]
    shadow_parts: Sequence[tuple[Params, Params]] = ()
    capture: Params | None = None
    asynchronous: Params | None = None


@dataclass
class _Serving:
    """A release that runs."""

    release: Release
    variants: list[Variant]
    shadows: list[Variant]
    capture: Capture | None

    def end(self) -> None:
        for variant in self.variants + self.shadows:
            variant.replica.stop()
            variant.log.close()
        if self.capture is not None:
            self.capture.close()


class Endpoint:
    """One endpoint. ``roll_out`` and ``close`` run in threads of the caller's."""

    def __init__(self, cloud: Cloud, name: str, arn: str) -> None:
        self._cloud = cloud
        self.name = name
        self.arn = arn
        self.status = "Creating"
        self.config = ""
        self.failure: str | None = None
        self.created = self.modified = now()
        self._serving: _Serving | None = None
        self._closed = threading.Event()
        self._guard = threading.Lock()

    @property
    def capture(self) -> Capture | None:
        """What keeps a sample of the calls, where the configuration asks for it."""
        return self._serving.capture if self._serving else None

    @property
    def asynchronous(self) -> Params | None:
        """The AsyncInferenceConfig of an asynchronous endpoint."""
        return self._serving.release.asynchronous if self._serving else None

    def begin(self, status: str, config: str | None = None) -> None:
        """Creating, Updating or Deleting, as the answer to the request already says."""
        self.status = status
        self.failure = None
        self.modified = now()
        if config is not None and self._serving is None:
            self.config = config

    def roll_out(self, release: Release, retained: bool = False) -> None:
        """Start the release beside the present one, switch over, end the old; never raises for a bad release.

        ``retained``: the variants keep the present weights and counts, as RetainAllVariantProperties asks.
        """
        fresh = _Serving(release, [], [], None)
        try:
            for parts, variants in ((release.parts, fresh.variants), (release.shadow_parts, fresh.shadows)):
                for settings, model in parts:
                    variants.append(self._start(settings, model))
        except StartFailure as failure:
            fresh.end()
            self._settle("InService" if self._serving else "Failed", str(failure))
            return
        if release.capture is not None:
            fresh.capture = Capture(self._cloud, self.name, release.capture)
        with self._guard:
            old, self._serving = self._serving, fresh
            self.config = release.config
        if retained and old is not None:
            _retain(old.variants, fresh.variants)
        if self._closed.is_set():
            self.close()
        self._settle("InService", None)
        if old is not None:
            time.sleep(_CHOSEN_S)
            _drain(old, self._cloud.limits.invocation_s)
            old.end()

    def close(self) -> None:
        """End every container."""
        self._closed.set()
        with self._guard:
            old, self._serving = self._serving, None
        if old is not None:
            old.end()

    def choose(self, target: str | None) -> Variant:
        """The variant for one call: the one that is named, or one by weight."""
        variants = self._variants()
        if not variants:
            raise AwsError("ValidationError", f"Endpoint {self.name} of account {self._cloud.account} not found.")
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
        return random.choices(variants, weights)[0]  # noqa: S311 (a share of traffic, not a secret)

    def shadows_of(self, variant: Variant) -> list[Variant]:
        """The shadow variants that get a copy of this call: a share of it as large as their weight beside its."""
        shadows = self._serving.shadows if self._serving else []
        share = random.random() * variant.weight  # noqa: S311 (a share of traffic, not a secret)
        return [shadow for shadow in shadows if share < shadow.weight]

    def kill(self) -> None:
        """End every variant's process as a crash would; each is started again by itself."""
        for variant in self._variants():
            variant.replica.kill()

    def _variants(self) -> list[Variant]:
        serving = self._serving
        return serving.variants if serving else []

    def set_weights(self, desired: list[Params]) -> None:
        """UpdateEndpointWeightsAndCapacities on the running variants."""
        known = {variant.name: variant for variant in self._variants()}
        for wish in desired:
            if wish["VariantName"] not in known:
                raise AwsError("ValidationException", f'Could not find variant "{wish["VariantName"]}".')
        for wish in desired:
            variant = known[wish["VariantName"]]
            variant.weight = float(wish.get("DesiredWeight", variant.weight))
            variant.count = int(wish.get("DesiredInstanceCount", variant.count))
        self.modified = now()

    def describe(self) -> Params:
        """DescribeEndpoint's answer."""
        answer: dict[str, Any] = {**self.summary(), "EndpointConfigName": self.config}
        if (serving := self._serving) is not None:
            answer["ProductionVariants"] = [variant.describe() for variant in serving.variants]
            if serving.shadows:
                answer["ShadowProductionVariants"] = [variant.describe() for variant in serving.shadows]
            if serving.capture is not None:
                answer["DataCaptureConfig"] = serving.capture.describe()
            if serving.release.asynchronous is not None:
                answer["AsyncInferenceConfig"] = serving.release.asynchronous
        if self.failure:
            answer["FailureReason"] = self.failure
        return answer

    def summary(self) -> Params:
        """The endpoint's line in ListEndpoints."""
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
        log = LogStream(self._cloud.logs, LOG_GROUP + self.name, f"{name}/i-{instance}")
        definition = model.get("PrimaryContainer") or model["Containers"][0]
        replica = Replica(
            self._cloud,
            definition,
            self._cloud.work_dir / "endpoints" / f"{self.name}-{instance}",
            log,
            isolated=bool(model.get("EnableNetworkIsolation")),
        )
        startup_s = settings.get("ContainerStartupHealthCheckTimeoutInSeconds", self._cloud.limits.startup_s)
        try:
            replica.start(name, startup_s, self._closed)
        except StartFailure:
            replica.stop()
            log.close()
            raise
        weight = float(settings.get("InitialVariantWeight", 1.0))
        count = int(settings.get("InitialInstanceCount", 1))
        return Variant(settings, definition.get("Image", ""), replica, log, weight, count)

    def _settle(self, status: str, failure: str | None) -> None:
        self.failure = failure
        self.modified = now()
        if self.status != "Deleting":
            self.status = status


def _drain(old: _Serving, limit_s: float) -> None:
    """Until the calls that chose one of these variants have come to their end."""
    deadline = time.monotonic() + limit_s
    while any(variant.replica.calls for variant in old.variants + old.shadows) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _retain(old: list[Variant], fresh: list[Variant]) -> None:
    before = {variant.name: variant for variant in old}
    for variant in fresh:
        if variant.name in before:
            variant.weight, variant.count = before[variant.name].weight, before[variant.name].count
