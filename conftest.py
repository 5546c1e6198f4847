"""What both suites share: how tests are spread over workers, and how many inputs Hypothesis generates.

``make test`` runs what is not marked ``slow`` on three workers of pytest-xdist. All tests of a module run on one worker, in order,
so that they share the servers of the module. Tests that need the clouds as processes run on one worker, too: those are the
costliest to start.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Machines are shared: how long an example takes says nothing about the code.
_ANY_SPEED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# ``make test`` finds the same on every machine; ``make test-slow`` searches on, and ``make fuzz`` for an hour.
settings.register_profile("quick", max_examples=25, derandomize=True, **_ANY_SPEED)
settings.register_profile("thorough", max_examples=400, **_ANY_SPEED)
settings.register_profile("fuzz", max_examples=10_000, **_ANY_SPEED)
settings.load_profile("quick")

# Each session of botocore would read the services' models again, which costs half a second. They are never changed.
botocore.session.create_loader = cache(botocore.session.create_loader)

#: Folders whose tests use the clouds as processes (the fixture ``clouds``).
_CLOUDS = ("tests/contract/cloud/", "tests/flow/")
#: Modules in those folders that start clouds of their own.
_APART = ("tests/flow/test_demo.py", "tests/flow/test_killed_runs.py")


#: Groups that start first, because they take longest: a worker that starts one at the end leaves the others idle.
_LONGEST = ("clouds", "tests/contract/serve/test_deferral.py")


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist's own grouping by marks needs an older pytest
    def _split_scope(self, nodeid: str) -> str:
        """The group of a test; one worker runs a group."""
        module = nodeid.partition("::")[0]
        return "clouds" if module.startswith(_CLOUDS) and module not in _APART else module

    def _assign_work_unit(self, node: Any) -> None:
        for group in reversed(_LONGEST):
            if group in self.workqueue:
                self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling:
    """Called by pytest-xdist in the controlling process."""
    return _Scheduling(config, log)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names bytes by their number: compressed ones hold the time at which they were made, and ids are equal in each worker."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
