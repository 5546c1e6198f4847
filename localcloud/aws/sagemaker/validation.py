"""Inputs of SageMaker operations, validated against botocore's service model.

botocore's ``ParamValidator`` checks required members and types. AWS also enforces patterns, lengths and enums, which no client
checks; those are checked here, with AWS's message ("1 validation error detected: Value ... at ...").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

from localcloud.aws.http.protocol import Params, ValidationException


@functools.cache
def _service() -> botocore.model.ServiceModel:
    description = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    return botocore.model.ServiceModel(description, "sagemaker")


def is_operation(name: str) -> bool:
    """Whether SageMaker has an operation of this name."""
    return name in _service().operation_names


def allowed_values(shape: str) -> list[str]:
    """The values of an enumeration of SageMaker's model."""
    return list(_service().shape_for(shape).metadata["enum"])


def check_input(operation: str, params: Params) -> None:
    """Raise :class:`ValidationException` for an input that AWS rejects."""
    shape = _service().operation_model(operation).input_shape
    if shape is None:
        return
    report = botocore.validate.ParamValidator().validate(params, shape)
    if report.has_errors():
        raise ValidationException(report.generate_report())
    errors = list(_violations(params, shape, ""))
    if errors:
        count = f"{len(errors)} validation error{'s' if len(errors) > 1 else ''} detected: "
        raise ValidationException(count + "; ".join(errors))


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _violations(value[name], member, _join(path, name[0].lower() + name[1:]))
    elif shape.type_name == "list":
        yield from _size(value, shape, path)
        for number, item in enumerate(value, start=1):
            yield from _violations(item, shape.member, f"{path}.{number}.member")
    elif shape.type_name == "map":
        yield from _size(value, shape, path)
        for key, item in value.items():
            yield from _violations(key, shape.key, _join(path, "key"))
            yield from _violations(item, shape.value, _join(path, f"{key}.member"))
    elif shape.type_name == "string":
        yield from _text(value, shape, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _number(value, shape, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _violation(value: Any, path: str, rule: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}"


def _size(value: Any, shape: Any, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is not None and len(value) > most:
        yield _violation(value, path, f"have length less than or equal to {most}")


def _text(value: str, shape: Any, path: str) -> Iterator[str]:
    yield from _size(value, shape, path)
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _violation(value, path, f"satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _violation(value, path, f"satisfy regular expression pattern: {pattern}")


def _number(value: float, shape: Any, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is not None and value > most:
        yield _violation(value, path, f"have value less than or equal to {most}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # a few patterns use Java's \p classes, which Python does not support
        return True
