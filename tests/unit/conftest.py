"""Fixtures of the unit tests: a copy of the example with one change in its pipeline file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit import churn


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
