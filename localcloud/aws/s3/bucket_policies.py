"""Bucket policies with conditions; moto itself treats every condition as met.

``aws:SecureTransport`` is true, because the loopback interface stands for TLS. A statement with any other condition does not apply.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

_SECURE = {"true", True}


def install() -> None:
    """Make the buckets of this process evaluate the conditions of their policies."""
    FakeBucket.get_permission = _get_permission


def _get_permission(bucket: Any, action: str, resource: str) -> Any:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    applying = [{**item, "Condition": {}} for item in statements if _holds(item.get("Condition", {}))]
    if not applying:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps({**policy, "Statement": applying})).is_action_permitted(action, resource)


def _holds(condition: dict[str, dict[str, Any]]) -> bool:
    tests = [(operator, key, value) for operator, keys in condition.items() for key, value in keys.items()]
    return all(
        operator == "Bool" and key == "aws:SecureTransport" and value in _SECURE for operator, key, value in tests
    )
