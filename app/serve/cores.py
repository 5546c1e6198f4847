"""How many cores this process may use: those that it is bound to, and of those no more than its container's quota pays for."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """At least 1. A part of a core is none: a worker on it would be stopped in the middle of requests."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(bound, int(quota))) if quota else bound


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time that the control group, version 2 or 1, grants; None where it does not limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            granted, period = " ".join((cgroup / name).read_text() for name in names).split()
            return float(granted) / float(period) if granted not in ("max", "-1") else None
        except (OSError, ValueError):
            continue
    return None
