"""Service Quotas for SageMaker: the instances of a type that the account may have for training, spot training, and endpoints.

As in a new account, none with accelerators; of every other type :data:`INSTANCES`. Nothing raises a quota here.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from localcloud.aws.http.protocol import AwsError, DelegateToMoto, Params, unsupported
from localcloud.aws.http.services import JsonService
from localcloud.aws.sagemaker.validation import allowed_values

#: Instances of each type without an accelerator, for each use.
INSTANCES = 20
TRAINING, SPOT, ENDPOINT = "training job", "spot training job", "endpoint"

_ACCELERATED = re.compile(r"ml\.(p|g|trn|inf)\d")
_SHAPES = {
    TRAINING: "TrainingInstanceType",
    SPOT: "TrainingInstanceType",
    ENDPOINT: "ProductionVariantInstanceType",
}
_PAGE = 100


def quota_name(instance_type: str, use: str) -> str:
    """The quota's name, such as ``ml.m5.xlarge for training job usage``."""
    return f"{instance_type} for {use} usage"


def quota_of(instance_type: str) -> int:
    """The number of instances that the account may have, for any use."""
    return 0 if _ACCELERATED.match(instance_type) else INSTANCES


def check_quota(counts: Mapping[str, int], use: str) -> None:
    """Raise :class:`AwsError` for more instances of a type than the account may have. ``counts``: by instance type."""
    for instance_type, count in counts.items():
        quota = quota_of(instance_type)
        if count > quota:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{quota_name(instance_type, use)}' is {quota} Instances, with current "
                f"utilization of 0 Instances and a request delta of {count} Instances. Please use AWS Service Quotas to request "
                "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase "
                "for this quota.",
            )


def _list(params: Params) -> Params:
    if params.get("ServiceCode") != "sagemaker":
        raise DelegateToMoto
    found = [
        {
            "ServiceCode": "sagemaker",
            "ServiceName": "Amazon SageMaker",
            "QuotaCode": f"L-{hashlib.sha256(quota_name(instance_type, use).encode()).hexdigest()[:8].upper()}",
            "QuotaName": quota_name(instance_type, use),
            "Value": float(quota_of(instance_type)),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for use, shape in _SHAPES.items()
        for instance_type in allowed_values(shape)
    ]
    start = int(base64.urlsafe_b64decode(params["NextToken"])) if params.get("NextToken") else 0
    end = start + int(params.get("MaxResults", _PAGE))
    answer: Params = {"Quotas": found[start:end]}
    if end < len(found):
        answer["NextToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return answer


def _refuse(operation: str) -> None:
    raise unsupported(f"the Service Quotas operation {operation}")


SERVICE = JsonService(
    name="servicequotas",
    target="ServiceQuotasV20190624",
    operations={"ListServiceQuotas": _list},
    validate=lambda _operation, _params: None,
    check_fallback=_refuse,
)
