"""The number of cores that this process may use: those of its affinity mask, limited by the quota of its container."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP, bound: int | None = None) -> int:
    """At least 1. Fractions are rounded down: a worker on a part of a core would be throttled in the middle of requests."""
    bound = bound or bound_cores()
    quota = _quota(cgroup)
    return max(1, min(bound, int(quota))) if quota else bound


def bound_cores() -> int:
    """The cores of the affinity mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(cgroup: Path) -> float | None:
    """The CPU quota of the control group, version 2 or 1, in cores; None if there is none."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            granted, period = " ".join((cgroup / name).read_text() for name in names).split()
            return None if granted in ("max", "-1") else float(granted) / float(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
