"""CloudFormation stacks as the requests that create them, for an account that is saved and restored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def describe(client: Any) -> Iterator[dict[str, Any]]:
    """The stacks that exist."""
    for page in client.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            template = client.get_template(StackName=stack["StackName"])["TemplateBody"]
            yield {
                "StackName": stack["StackName"],
                "TemplateBody": template if isinstance(template, str) else json.dumps(template),
                "Parameters": [
                    {name: parameter[name] for name in ("ParameterKey", "ParameterValue")}
                    for parameter in stack.get("Parameters", [])
                ],
                "Capabilities": ["CAPABILITY_NAMED_IAM"],
                "Tags": stack.get("Tags", []),
            }


def create(client: Any, saved: dict[str, Any]) -> None:
    """Create a stack again, with its resources."""
    client.create_stack(**saved)
