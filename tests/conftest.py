"""Fixtures of the product's tests: a local cloud as a process and a small pipeline, seeded and, if requested, deployed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.commands import ROOT
from tests.support.running import Clouds, running_clouds
from tests.support.small import small_churn

#: The examples next to churn, of which ``pipeline`` is a small copy.
_OTHER_EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/pipeline.yaml") if path.parent.name != "churn")


@pytest.fixture(autouse=True)
def _without_the_commands_log() -> Iterator[None]:
    """Ends the log that a test's command configured: it writes to that test's standard error, and services in threads log on."""
    yield
    root = logging.getLogger()
    for handler in [found for found in root.handlers if type(found) is logging.StreamHandler]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small pipeline, ``churn``."""
    return small_churn(tmp_path_factory.mktemp("pipelines") / "churn")


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    """Both clouds and the service, with the seeds of the small pipeline and of the other examples.

    With ``SNOWSAGE_LIVE=1``: the environment's accounts.
    """
    if os.environ.get("SNOWSAGE_LIVE"):
        yield Clouds(dict(os.environ))
        return
    with running_clouds(tmp_path_factory.mktemp("cloud") / "state", pipeline, *_OTHER_EXAMPLES) as found:
        yield found


@pytest.fixture(scope="session")
def deployed(clouds: Clouds, pipeline: Path) -> Clouds:
    """The clouds after a run of the small pipeline."""
    clouds.snowsage("run", str(pipeline))
    return clouds


@pytest.fixture(scope="session")
def long() -> bool:
    """Whether tests that generate their input without Hypothesis may take an hour: in ``make fuzz``."""
    return settings.get_current_profile_name() == "fuzz"
