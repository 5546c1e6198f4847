"""A local cloud for what people get wrong, with a pipeline deployed in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.small import small_churn
from tests.support.running import Clouds, running_clouds


@pytest.fixture(scope="package")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_churn(tmp_path_factory.mktemp("pipelines") / "churn")


@pytest.fixture(scope="package")
def clouds(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Iterator[Clouds]:
    with running_clouds(tmp_path_factory.mktemp("cloud") / "state", pipeline) as found:
        yield found


@pytest.fixture(scope="package")
def deployed(clouds: Clouds, pipeline: Path) -> Clouds:
    clouds.snowsage("run", str(pipeline))
    return clouds
