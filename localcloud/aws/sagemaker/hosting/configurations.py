"""Endpoint configurations: the variants, capture and asynchronous settings that an endpoint runs."""

from __future__ import annotations

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import Handler, Params, ValidationException, unsupported
from localcloud.aws.sagemaker.models import Models
from localcloud.aws.sagemaker.records import Records
from localcloud.aws.sagemaker.tags import Tags


class EndpointConfigs:
    """CreateEndpointConfig and its family."""

    def __init__(self, account: Account, models: Models, tags: Tags) -> None:
        self._models = models
        self._records = Records(
            account, tags, kind="endpoint-config", noun="endpoint configuration", prefix="EndpointConfig"
        )

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": self._records.describe,
            "DeleteEndpointConfig": self._records.delete,
            "ListEndpointConfigs": lambda params: self._records.list(params, "EndpointConfigs"),
        }

    def create(self, params: Params) -> Params:
        """Keep a configuration whose models exist."""
        shadows = params.get("ShadowProductionVariants", [])
        if shadows and (len(shadows), len(params["ProductionVariants"])) != (1, 1):
            raise ValidationException(
                "A shadow variant needs exactly one production variant, and there can be only one shadow variant."
            )
        asynchronous = params.get("AsyncInferenceConfig")
        if asynchronous and shadows:
            raise ValidationException("Shadow variants are not supported for asynchronous endpoints.")
        if asynchronous and "NotificationConfig" in asynchronous["OutputConfig"]:
            raise unsupported("notifications of asynchronous inference (NotificationConfig)")
        if asynchronous and not asynchronous["OutputConfig"].get("S3OutputPath"):
            raise ValidationException("AsyncInferenceConfig.OutputConfig.S3OutputPath is required.")
        for variant in [*params["ProductionVariants"], *shadows]:
            if "ModelName" not in variant:
                raise unsupported("variants without a model (inference components)")
            if "InstanceType" not in variant and "ServerlessConfig" not in variant:
                raise ValidationException("One of InstanceType and ServerlessConfig is required.")
            self._models.find(variant["ModelName"])
        return self._records.create(params)

    def find(self, name: str) -> Params:
        """The configuration; raises :class:`ValidationException` if there is none."""
        return self._records.find(name)
