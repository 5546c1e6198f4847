"""Models, endpoint configurations and endpoints as the requests that create them, for an account that is saved and restored."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from localcloud.log import event

_log = logging.getLogger(__name__)

#: Seconds to wait for an endpoint to be in service again.
_ENDPOINT_S = 120.0
_WORDS = {"Model": "model", "EndpointConfig": "endpoint_config", "Endpoint": "endpoint"}


def describe(client: Any) -> Iterator[dict[str, Any]]:
    """Kind and request of each resource that exists, in the order in which they can be created."""
    for kind, words in _WORDS.items():
        members = client.meta.service_model.operation_model(f"Create{kind}").input_shape.members
        for page in client.get_paginator(f"list_{words}s").paginate():
            for line in page[f"{kind}s"]:
                found = getattr(client, f"describe_{words}")(**{f"{kind}Name": line[f"{kind}Name"]})
                if found.get("EndpointStatus", "InService") not in ("InService", "Updating", "Creating"):
                    continue
                tags = client.list_tags(ResourceArn=found[f"{kind}Arn"])["Tags"]
                wanted = {
                    name: value for name, value in found.items() if name in members and name != "DeploymentConfig"
                }
                yield {"kind": kind, "request": wanted | ({"Tags": tags} if tags else {})}


def create(client: Any, saved: dict[str, Any]) -> None:
    """Create a resource again; returns once an endpoint is in service."""
    kind, request = saved["kind"], saved["request"]
    getattr(client, f"create_{_WORDS[kind]}")(**request)
    if kind == "Endpoint":
        _wait(client, request["EndpointName"])


def _wait(client: Any, name: str) -> None:
    deadline = time.monotonic() + _ENDPOINT_S
    while time.monotonic() < deadline:
        status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
        if status != "Creating":
            if status != "InService":
                event(_log, logging.WARNING, "a saved endpoint is not in service", endpoint=name, status=status)
            return
        time.sleep(0.1)
