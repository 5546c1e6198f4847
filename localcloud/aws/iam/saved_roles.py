"""IAM roles with their policies, for an account that is saved and restored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def describe(client: Any) -> Iterator[dict[str, Any]]:
    """The roles that exist."""
    for page in client.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            name = role["RoleName"]
            inline = client.list_role_policies(RoleName=name)["PolicyNames"]
            attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            yield {
                "role": {
                    "RoleName": name,
                    "Path": role["Path"],
                    "AssumeRolePolicyDocument": json.dumps(role["AssumeRolePolicyDocument"]),
                },
                "inline": {
                    policy: json.dumps(client.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
                    for policy in inline
                },
                "attached": [policy["PolicyArn"] for policy in attached],
            }


def create(client: Any, saved: dict[str, Any]) -> None:
    """Create a role again, unless its stack has done so."""
    name = saved["role"]["RoleName"]
    try:
        client.create_role(**saved["role"])
    except client.exceptions.EntityAlreadyExistsException:
        return
    for policy, document in saved["inline"].items():
        client.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)
    for arn in saved["attached"]:
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
