"""Two clouds side by side, each with its own service: in one runs are killed, in the other they are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.running import Clouds, running_clouds
from tests.flow.small import small_churn


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_churn(tmp_path_factory.mktemp("pipelines") / "churn")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    with running_clouds(tmp_path_factory.mktemp("cloud") / "state", pipeline) as found:
        yield found


@pytest.fixture(scope="module")
def other_clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    with running_clouds(tmp_path_factory.mktemp("other") / "state", pipeline) as found:
        yield found
