"""How many cores this process may use: those that it is bound to, and of those no more than its container's quota pays for."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP, bound: int | None = None) -> int:
    """At least 1. A part of a core is none: a worker on it would be stopped in the middle of requests."""
    bound = bound or bound_cores()
    quota = _quota(cgroup)
    return max(1, min(bound, int(quota))) if quota else bound


def bound_cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time that the control group, version 2 or 1, grants; None where it does not limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            granted, period = " ".join((cgroup / name).read_text() for name in names).split()
            return None if granted in ("max", "-1") else float(granted) / float(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
