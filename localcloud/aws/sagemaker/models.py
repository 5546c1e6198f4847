"""Models: what hosting and batch transform start containers from."""

from __future__ import annotations

from botocore.exceptions import ClientError

from localcloud.aws.account import Account
from localcloud.aws.http.protocol import Handler, Params, ValidationException, unsupported
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.records import Records
from localcloud.aws.sagemaker.tags import Tags


class Models:
    """CreateModel and its family."""

    def __init__(self, account: Account, tags: Tags) -> None:
        self._account = account
        self._records = Records(account, tags, kind="model", noun="model", prefix="Model")

    def operations(self) -> dict[str, Handler]:
        """Handlers by operation."""
        return {
            "CreateModel": self.create,
            "DescribeModel": self._records.describe,
            "DeleteModel": self._records.delete,
            "ListModels": lambda params: self._records.list(params, "Models"),
        }

    def create(self, params: Params) -> Params:
        """Keep a model of one container whose artefact exists."""
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
        self._check_artefact(artefact_uri(definition))
        return self._records.create(params)

    def find(self, name: str) -> Params:
        """The model; raises :class:`ValidationException` if there is none."""
        return self._records.find(name)

    def _check_artefact(self, uri: str) -> None:
        if not uri:
            return
        bucket, key = transfer.split_uri(uri)
        try:
            self._account.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise ValidationException(f"Could not find model data at {uri}.") from error


def container_definition(model: Params) -> Params:
    """The model's only container."""
    definition: Params = model.get("PrimaryContainer") or model["Containers"][0]
    return definition


def artefact_uri(definition: Params) -> str:
    """The container's model artefact, from ModelDataUrl or ModelDataSource; empty without one."""
    source: Params = definition.get("ModelDataSource", {}).get("S3DataSource", {})
    return str(definition.get("ModelDataUrl") or source.get("S3Uri", ""))
