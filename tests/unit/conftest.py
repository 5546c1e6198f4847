"""What the unit tests share: copies of the example's pipeline file, changed in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.unit import churn

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """The example's folder with ``old`` replaced by ``new`` in its pipeline file."""

    def change(old: str = "", new: str = "") -> Path:
        folder = tmp_path / "pipeline"
        folder.mkdir()
        for name in ("features.py", "rhythm.sql"):
            (folder / name).write_bytes((churn.FOLDER / name).read_bytes())
        text = (churn.FOLDER / "pipeline.yaml").read_text()
        assert old in text
        (folder / "pipeline.yaml").write_text(text.replace(old, new, 1))
        return folder

    return change
