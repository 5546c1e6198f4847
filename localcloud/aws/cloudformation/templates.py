"""Templates: resource types that the local AWS cannot create are rejected before the stack is.

moto skips a resource type that it lacks with a Python warning, and keeps records of SageMaker resources that nothing serves.
"""

from __future__ import annotations

import re

from moto.cloudformation.parsing import NULL_MODELS, get_model_map

from localcloud.aws.cloudformation import buckets  # noqa: F401 (registers its resource types)
from localcloud.aws.http.protocol import AwsError

# `Type: AWS::X::Y` of a resource. The type of a parameter is longer (AWS::EC2::VPC::Id).
_RESOURCE_TYPE = re.compile(r"""["']?Type["']?\s*:\s*["']?(AWS::\w+::\w+)(?![\w:<])""")
_SAGEMAKER = "AWS::SageMaker::"


def check_template(form: dict[str, str]) -> None:
    """Raise :class:`AwsError` for a template with resource types that cannot be created."""
    types = set(_RESOURCE_TYPE.findall(form.get("TemplateBody", "")))
    missing = sorted(
        kind for kind in types if kind.startswith(_SAGEMAKER) or kind not in {*get_model_map(), *NULL_MODELS}
    )
    if missing:
        raise AwsError(
            "ValidationError", f"The local AWS does not support these resource types in a stack: {', '.join(missing)}."
        )
