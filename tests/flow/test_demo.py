"""The README's first command: the whole pipeline on the real purchase log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_returns_equal_scores_in_sql_and_in_the_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo", "--state", str(tmp_path / "state")],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("clouds", "serve", "features", "export", "train", "registry", "deploy", "batch", "monitor"):
        assert re.search(rf"^✓ {stage} ", done.stderr, re.MULTILINE), f"{stage} is missing:\n{done.stderr}"
    assert "23,570 inserted, 0 updated" in done.stdout
    found = re.search(
        r"All 23,570 customers scored through the external function, in (\d+) batches over HTTP: equal", done.stdout
    )
    assert found, done.stdout
    assert int(found[1]) > 23_570 / 4096
    model = re.search(
        r"the model's auc is (0\.\d+); single columns alone reach .*?DAYS_SINCE_LAST_ORDER (0\.\d+)", done.stdout
    )
    assert model, done.stdout
    assert float(model[1]) > float(model[2])
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "state").exists(), "the clouds left processes or files behind"
