"""SageMaker operations that moto answers truthfully, because it keeps the records that they read and write.

moto pretends to do the other ones, for example a processing job that is Completed at once without a result. Those are rejected:
an invented success is worse than an error.
"""

from __future__ import annotations

import re

from localcloud.aws.http.protocol import AwsError, unsupported
from localcloud.aws.sagemaker.validation import is_operation

_RECORDS = re.compile(
    r"(Create|Describe|Update|Delete|List)"
    r"(ModelPackageGroup|ModelPackage|ModelCard|ModelCardVersion|Experiment|Trial|TrialComponent|FeatureGroup)s?"
    r"|(Associate|Disassociate)TrialComponent"
)


def check_delegation(operation: str) -> None:
    """Raise :class:`AwsError` unless moto may answer the operation."""
    if not is_operation(operation):
        raise AwsError("UnknownOperationException", f"SageMaker has no operation {operation}.")
    if not _RECORDS.fullmatch(operation) or not _moto_has(operation):
        raise unsupported(f"the SageMaker operation {operation}")


def _moto_has(operation: str) -> bool:
    # moto's SageMaker takes a while to import, and most sessions never need it.
    from moto.sagemaker.responses import SageMakerResponse

    return hasattr(SageMakerResponse, re.sub(r"(?<=.)([A-Z])", r"_\1", operation).lower())
