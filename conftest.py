"""What both suites share: how tests are spread over workers, and how many inputs Hypothesis generates.

``make test`` runs what is not marked ``slow`` on two workers (pytest-xdist, ``--dist loadgroup``). All tests of a module run on one
worker, in order, so that they share the module's servers. Tests that need the clouds as processes run on one worker together: those
are the most expensive to start.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared: how long an example takes says nothing about the code.
_ANY_SPEED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# ``make test`` finds the same on every machine; ``make test-slow`` searches on, and ``make fuzz`` for an hour.
settings.register_profile("quick", max_examples=25, derandomize=True, **_ANY_SPEED)
settings.register_profile("thorough", max_examples=400, **_ANY_SPEED)
settings.register_profile("fuzz", max_examples=10_000, **_ANY_SPEED)
settings.load_profile("quick")

#: Session fixtures that start processes, by the worker group of the tests that use them.
_GROUPS = {"clouds": "clouds"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, which reads the mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = next((_GROUPS[name] for name in fixtures if name in _GROUPS), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))
