"""Models and endpoint configurations: records that hosting reads.

In: validated requests. Out: AWS's answers. The surprise: moto keeps such records too, but drops members
(``EnableNetworkIsolation`` among them), so these are ours.
"""

from __future__ import annotations

from botocore.exceptions import ClientError

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import Handler, Params, ValidationException, unsupported
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker import paging
from localcloud.aws.sagemaker.inference.container import model_uri
from localcloud.aws.sagemaker.tags import Tags
from localcloud.aws.sagemaker.training.job import now


class Records:
    """Requests kept under a name. ``kind`` is the ARN's, ``noun`` the one in AWS's sentences."""

    def __init__(self, cloud: Cloud, tags: Tags, *, kind: str, noun: str, prefix: str) -> None:
        self._cloud = cloud
        self._tags = tags
        self._kind = kind
        self._noun = noun
        self._name = f"{prefix}Name"
        self._arn = f"{prefix}Arn"
        self._records: dict[str, Params] = {}

    def create(self, params: Params) -> Params:
        """Keep the request; a name is used once."""
        name = params[self._name]
        arn = self._cloud.arn(self._kind, name)
        if name in self._records:
            raise ValidationException(f'Cannot create already existing {self._noun} "{arn}".')
        kept = {key: value for key, value in params.items() if key != "Tags"}
        self._records[name] = kept | {self._arn: arn, "CreationTime": now()}
        self._tags.keep(arn, params.get("Tags", []))
        return {self._arn: arn}

    def describe(self, params: Params) -> Params:
        """The request as it was made."""
        return self.find(params[self._name])

    def delete(self, params: Params) -> None:
        """What already runs on it goes on."""
        record = self.find(params[self._name])
        del self._records[params[self._name]]
        self._tags.forget(record[self._arn])

    def list(self, params: Params, key: str) -> Params:
        """Names, ARNs and times, paged."""
        members = (self._name, self._arn, "CreationTime")
        lines = [{member: record[member] for member in members} for record in list(self._records.values())]
        return paging.page(lines, params, name=self._name, status=None, key=key)

    def find(self, name: str) -> Params:
        """The record, or AWS's sentence that there is none."""
        if name not in self._records:
            raise ValidationException(f'Could not find {self._noun} "{self._cloud.arn(self._kind, name)}".')
        return self._records[name]


class Models:
    """CreateModel, CreateEndpointConfig and their families."""

    def __init__(self, cloud: Cloud, tags: Tags) -> None:
        self._cloud = cloud
        self.models = Records(cloud, tags, kind="model", noun="model", prefix="Model")
        self.configs = Records(
            cloud, tags, kind="endpoint-config", noun="endpoint configuration", prefix="EndpointConfig"
        )

    def operations(self) -> dict[str, Handler]:
        """Operation to handler."""
        return {
            "CreateModel": self.create_model,
            "DescribeModel": self.models.describe,
            "DeleteModel": self.models.delete,
            "ListModels": lambda params: self.models.list(params, "Models"),
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": self.configs.describe,
            "DeleteEndpointConfig": self.configs.delete,
            "ListEndpointConfigs": lambda params: self.configs.list(params, "EndpointConfigs"),
        }

    def create_model(self, params: Params) -> Params:
        """One container with an artefact that is there; AWS looks for it at this moment too."""
        containers = params.get("Containers", [])
        if len(containers) > 1:
            raise unsupported("inference pipelines (a model of several containers)")
        definition = params.get("PrimaryContainer") or (containers[0] if containers else None)
        if definition is None:
            raise ValidationException("Either PrimaryContainer or Containers must be given.")
        if "ModelPackageName" in definition:
            raise unsupported("models made from a model package (ModelPackageName)")
        source = definition.get("ModelDataSource", {}).get("S3DataSource")
        if definition.get("Mode", "SingleModel") != "SingleModel":
            raise unsupported("multi-model containers")
        if source and (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
            raise unsupported("uncompressed model artefacts; use S3DataType S3Object with CompressionType Gzip")
        self._look_for(model_uri(definition))
        return self.models.create(params)

    def create_config(self, params: Params) -> Params:
        """Variants of models that exist."""
        shadows = params.get("ShadowProductionVariants", [])
        if shadows and (len(shadows), len(params["ProductionVariants"])) != (1, 1):
            raise ValidationException(
                "A shadow variant needs exactly one production variant, and there can be one only."
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
            self.models.find(variant["ModelName"])
        return self.configs.create(params)

    def _look_for(self, uri: str) -> None:
        if not uri:
            return
        bucket, key = transfer.split_uri(uri)
        try:
            self._cloud.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise ValidationException(f"Could not find model data at {uri}.") from error
