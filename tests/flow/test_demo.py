"""The README's first command: the whole pipeline on the real purchase log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
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
    assert "is expected here" in done.stdout
    assert "snowsage local up --state" in done.stdout
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["saved"], (
        "the clouds left processes or files behind"
    )
    stages = done.stdout.partition("where to look")[2].partition("test rows")[0]
    for place in re.findall(r"(?:FEATURE_STORE|ML|ANALYTICS)\.([A-Z_]+)", stages):
        assert place in kept_tables(tmp_path / "state"), f"{place} is gone"


def kept_tables(state: Path) -> set[str]:
    """The tables and views of the database that the demo left."""
    body = json.loads((state / "saved/snowflake/account.json").read_text())
    file = state / f"saved/snowflake/{body['databases'].index('SNOWSAGE')}.duckdb"
    names = "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()"
    with duckdb.connect(str(file), read_only=True) as found:
        return {name for (name,) in found.execute(names).fetchall()}
