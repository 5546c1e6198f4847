"""The example ``customer_value``: two versions of a view in one table, a run to scored rows, and a label that leaks."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.commands import ROOT
from tests.support.running import Clouds

EXAMPLE = ROOT / "examples/customer_value"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example that trains for fewer rounds."""
    copy = tmp_path / "customer_value"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    rewrite(copy, r"n_estimators: \d+", "n_estimators: 20")
    return copy


def rewrite(folder: Path, *pairs: str) -> None:
    """Replace patterns of the pipeline file, each of which occurs once: pattern, replacement, ..."""
    path = folder / "pipeline.yaml"
    text = path.read_text()
    for pattern, replacement in zip(pairs[::2], pairs[1::2], strict=True):
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count == 1, pattern
    path.write_text(text)


@pytest.mark.slow
def test_both_versions_stand_in_one_table(clouds: Clouds, folder: Path) -> None:
    second = (folder / "pipeline.yaml").read_text()
    rewrite(
        folder, r"version: 2 .*", "version: 1", r"features.py:customer_features_v2", "features.py:customer_features"
    )
    clouds.snowsage("run", str(folder), "--to", "features")
    (folder / "pipeline.yaml").write_text(second)
    clouds.snowsage("run", str(folder), "--to", "features")
    versions = clouds.query(
        "SELECT FEATURE_VERSION, COUNT(*), COUNT(DISTINCT AS_OF), COUNT(DAILY_SPEND) FROM FEATURE_STORE.CUSTOMER_FEATURES "
        "GROUP BY 1 ORDER BY 1"
    )
    assert versions == [(1, 30_641, 13, 0), (2, 30_641, 13, 30_641)]
    differ = clouds.query(
        "SELECT COUNT(*), COUNT_IF(a.TOTAL_SPENT = b.TOTAL_SPENT AND a.TENURE_DAYS = b.TENURE_DAYS), "
        "COUNT_IF(b.DAILY_SPEND * b.TENURE_DAYS BETWEEN b.TOTAL_SPENT - 0.001 AND b.TOTAL_SPENT + 0.001), "
        "COUNT_IF(b.DISTINCT_CATEGORIES BETWEEN 1 AND 3) FROM FEATURE_STORE.CUSTOMER_FEATURES AS a "
        "JOIN FEATURE_STORE.CUSTOMER_FEATURES AS b ON a.CUSTOMER_ID = b.CUSTOMER_ID AND a.AS_OF = b.AS_OF "
        "WHERE a.FEATURE_VERSION = 1 AND b.FEATURE_VERSION = 2"
    )
    assert {*differ[0]} == {30_641}
    shown = json.loads(clouds.snowsage("features", "--show", "customer_features", "--json").stdout)
    assert [(each["version"], len(each["features"])) for each in shown] == [(1, 8), (2, 10)]


@pytest.mark.slow
def test_every_customer_is_scored(clouds: Clouds, folder: Path) -> None:
    clouds.snowsage("run", str(folder), "--to", "batch")
    rows = clouds.query("SELECT COUNT(*), COUNT(SCORE) FROM ANALYTICS.CUSTOMER_VALUE_SCORES")
    assert rows == [(2_357, 2_357)]


@pytest.mark.slow
def test_a_label_made_of_the_features_is_a_warning(clouds: Clouds, folder: Path) -> None:
    rewrite(
        folder,
        r"^name: .*",
        "name: value-leak",
        r"features.py:high_value",
        "features.py:spent_over_200",
        r"view: customer_features",
        "view: leak_features",
        r"PREDICT_CUSTOMER_VALUE",
        "PREDICT_VALUE_LEAK",
        r"CUSTOMER_VALUE_SCORES",
        "VALUE_LEAK_SCORES",
    )
    said = clouds.snowsage("run", str(folder), "--to", "registry").stderr
    assert "warning: TOTAL_SPENT alone reaches auc 1.0000 on the test rows" in said
    assert "DAYS_SINCE_LAST_ORDER alone reaches" not in said


def test_the_data_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(EXAMPLE / "data/make_orders.py"))
    assert script["make_orders"]().equals(pq.read_table(EXAMPLE / "data/orders.parquet"))
