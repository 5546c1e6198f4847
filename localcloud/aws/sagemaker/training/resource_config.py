"""The hosts of a training job (``algo-1``, ``algo-2``, ...), and ``resourceconfig.json``.

On Linux every host has a loopback address of its own, so that hosts may use the same port, as machines do. On other systems all
hosts have 127.0.0.1.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_GROUP = "homogeneousCluster"
_ADDRESSES_A_NET = 250
_numbers = itertools.count()


@dataclass(frozen=True)
class Host:
    """One instance of the job's cluster."""

    name: str
    group: str
    instance_type: str
    address: str


def instance_counts(resources: dict[str, Any]) -> Counter[str]:
    """The number of instances of each type in a ResourceConfig."""
    counts: Counter[str] = Counter()
    for group in resources.get("InstanceGroups") or [resources]:
        counts[group.get("InstanceType", "")] += _count(group)
    return counts


def cluster_hosts(resources: dict[str, Any]) -> list[Host]:
    """The hosts of a ResourceConfig in the order of their numbers, group by group."""
    groups = resources.get("InstanceGroups") or [
        {
            "InstanceGroupName": _GROUP,
            "InstanceType": resources.get("InstanceType", ""),
            "InstanceCount": resources.get("InstanceCount", 1),
        }
    ]
    kinds = [(group["InstanceGroupName"], group["InstanceType"]) for group in groups for _ in range(_count(group))]
    return [
        Host(f"algo-{number}", group, instance_type, _address())
        for number, (group, instance_type) in enumerate(kinds, start=1)
    ]


def resource_config(hosts: Sequence[Host], current: Host) -> dict[str, Any]:
    """The content of ``resourceconfig.json`` on the host ``current``."""
    groups = {host.group: host.instance_type for host in hosts}
    return {
        "current_host": current.name,
        "current_instance_type": current.instance_type,
        "current_group_name": current.group,
        "hosts": [host.name for host in hosts],
        "instance_groups": [
            {
                "instance_group_name": group,
                "instance_type": instance_type,
                "hosts": [host.name for host in hosts if host.group == group],
            }
            for group, instance_type in groups.items()
        ],
        "network_interface_name": "eth0",
    }


def _count(group: dict[str, Any]) -> int:
    return int(group["InstanceCount"])


def _address() -> str:
    if sys.platform != "linux":
        return "127.0.0.1"
    number = next(_numbers) % (_ADDRESSES_A_NET * _ADDRESSES_A_NET)
    return f"127.1.{number // _ADDRESSES_A_NET}.{number % _ADDRESSES_A_NET + 1}"
