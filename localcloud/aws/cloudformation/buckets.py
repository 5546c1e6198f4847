"""AWS::S3::Bucket with the settings that moto drops, and AWS::S3::BucketPolicy, which moto lacks.

moto finds resource types among the direct subclasses of ``CloudFormationModel``, so importing this module registers both.
"""

from __future__ import annotations

import json
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.parsing import get_model_map
from moto.core.common_models import CloudFormationModel
from moto.s3.models import FakeBucket, S3Backend, s3_backends

# The properties that moto itself reads.
_FROM_MOTO = {"BucketName", "BucketEncryption", "Tags"}


class Bucket(FakeBucket):  # type: ignore[misc]  # moto has no type information
    """AWS::S3::Bucket with public access block, versioning, ownership controls and lifecycle rules.

    A property that is not supported fails the stack.
    """

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> Any:
        bucket = super().create_from_cloudformation_json(
            resource_name, cloudformation_json, account_id, region_name, **kwargs
        )
        _apply(s3_backends[account_id]["aws"], bucket.name, cloudformation_json.get("Properties", {}))
        return bucket

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Any:
        bucket = super().update_from_cloudformation_json(
            original_resource, new_resource_name, cloudformation_json, account_id, region_name
        )
        _apply(s3_backends[account_id]["aws"], bucket.name, cloudformation_json.get("Properties", {}))
        return bucket


class BucketPolicy(CloudFormationModel):  # type: ignore[misc]  # moto has no type information
    """AWS::S3::BucketPolicy: the policy document on the bucket."""

    def __init__(self, bucket: str) -> None:
        self.physical_resource_id = bucket

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 (moto's signature)
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003 (moto's signature)
        cloudformation_json: Any,
        account_id: str,
        region_name: str,  # noqa: ARG003 (moto's signature)
        **_kwargs: Any,
    ) -> BucketPolicy:
        properties = cloudformation_json["Properties"]
        document = json.dumps(properties["PolicyDocument"]).encode()
        s3_backends[account_id]["aws"].put_bucket_policy(properties["Bucket"], document)
        return cls(properties["Bucket"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,  # noqa: ARG003 (moto's signature)
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> BucketPolicy:
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,  # noqa: ARG003 (moto's signature)
        account_id: str,
        region_name: str,  # noqa: ARG003 (moto's signature)
    ) -> None:
        s3_backends[account_id]["aws"].delete_bucket_policy(resource_name)

    def is_created(self) -> bool:
        """A policy exists as soon as it is set."""
        return True


get_model_map()["AWS::S3::Bucket"] = Bucket


def _apply(backend: S3Backend, bucket: str, properties: dict[str, Any]) -> None:
    unread = sorted(set(properties) - _FROM_MOTO - set(_SETTINGS))
    if unread:
        raise ValidationError(
            message=f"The local AWS does not support {', '.join(unread)} of AWS::S3::Bucket in a stack."
        )
    for name, setting in _SETTINGS.items():
        if name in properties:
            setting(backend, bucket, properties[name])


def _public_access(backend: S3Backend, bucket: str, block: dict[str, Any]) -> None:
    backend.put_public_access_block(bucket, {name: str(value).lower() for name, value in block.items()})


def _versioning(backend: S3Backend, bucket: str, versioning: dict[str, Any]) -> None:
    backend.put_bucket_versioning(bucket, versioning["Status"])


def _ownership(backend: S3Backend, bucket: str, controls: dict[str, Any]) -> None:
    backend.put_bucket_ownership_controls(bucket, controls["Rules"][0]["ObjectOwnership"])


def _lifecycle(backend: S3Backend, bucket: str, configuration: dict[str, Any]) -> None:
    backend.put_bucket_lifecycle_configuration(bucket, [_rule(rule) for rule in configuration["Rules"]])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A template's lifecycle rule in the form of the S3 API."""
    renamed: dict[str, Any] = {"Status": rule["Status"], "Filter": _filter(rule)}
    if "Id" in rule:
        renamed["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        renamed["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if rule.get("ExpiredObjectDeleteMarker"):
        renamed["Expiration"] = {"ExpiredObjectDeleteMarker": "true"}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            renamed[name] = dict(rule[name])
    if "Transitions" in rule:
        renamed["Transition"] = [
            {"Days": step["TransitionInDays"], "StorageClass": step["StorageClass"]} for step in rule["Transitions"]
        ]
    read = {"Id", "Status", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker", "Transitions", "TagFilters"}
    unread = sorted(set(rule) - read - set(renamed))
    if unread:
        raise ValidationError(message=f"The local AWS does not support {', '.join(unread)} of a lifecycle rule.")
    return renamed


def _filter(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule's filter; the S3 API writes a prefix, one tag, and several conditions differently."""
    tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in rule.get("TagFilters", [])]
    if not tags:
        return {"Prefix": rule.get("Prefix", "")}
    if len(tags) == 1 and "Prefix" not in rule:
        return {"Tag": tags[0]}
    return {"And": {**({"Prefix": rule["Prefix"]} if "Prefix" in rule else {}), "Tag": tags}}


_SETTINGS = {
    "PublicAccessBlockConfiguration": _public_access,
    "VersioningConfiguration": _versioning,
    "OwnershipControls": _ownership,
    "LifecycleConfiguration": _lifecycle,
}
