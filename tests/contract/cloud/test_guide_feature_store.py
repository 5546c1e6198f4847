"""The guide's code runs as it is written: its views, computed with tiles and without them, are slices with equal values."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from app import spec
from app.cloud.snowflake import SnowflakeWarehouse
from app.features.plan import FeaturePlan
from app.features.routines.functions import create_routines
from app.features.routines.procedures import refresh_procedures
from app.features.stage import STAGE
from app.pipeline import look_up_run
from app.runs.ledger import Ledger
from app.runs.stage import Context
from app.sql import Statement
from tests.support.commands import ROOT

GUIDE = (ROOT / "docs/guides/feature-store.md").read_text()
NAME = "guide-features"


def blocks(section: str, language: str) -> str:
    """The code of one language in a section of the guide."""
    text = GUIDE.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return "\n\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


@pytest.fixture(scope="module")
def guided(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with the guide's source and views."""
    folder = tmp_path_factory.mktemp("guide")
    body = yaml.safe_load((pipeline / "pipeline.yaml").read_text())
    label = "\n\ndef churned(sources, as_of):\n    return sources['orders'].group_by('CUSTOMER_ID').agg(\n"
    label += "        F.iff(F.max('ORDER_DATE') >= F.lit(as_of), 0, 1).alias('CHURNED'))\n"
    code = blocks("Helpers", "python") + "\n\n" + blocks("Tiles", "python") + label
    (folder / "features.py").write_text(code)
    views = re.findall(r"^def (customer_\w+)", code, re.MULTILINE)
    body |= {"name": NAME, "logical_date": "1998-03-01"} | yaml.safe_load(blocks("Tiles", "yaml"))
    body["features"] = [{"view": f"guide_{view}", "version": 1, "define": f"features.py:{view}"} for view in views]
    body["label"] |= {"horizon": "30 days", "as_of": {"every": "30 days", "last": 4}}
    body["training"]["split"] = {"by": "time", "validation": 0.25, "test": 0.25}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    return folder


@pytest.fixture
def context(warehouse: SnowflakeWarehouse, guided: Path) -> Context:
    file = spec.load(guided)
    world: Any = SimpleNamespace(warehouse=warehouse)
    return Context(file, Ledger(warehouse).begin(look_up_run(file, warehouse, date(1998, 3, 1))), world)


def computed(context: Context) -> FeaturePlan:
    plan = STAGE.plan(context)
    STAGE.run(context, plan)
    return plan  # type: ignore[no-any-return]


@pytest.mark.slow
def test_the_guides_views_run_and_tiles_equal_rows(warehouse: SnowflakeWarehouse, context: Context) -> None:
    plan = computed(context)
    shown = "\n".join(STAGE.explain(context, plan))
    assert "tiles of orders: " in shown
    assert '"FEATURE_STORE"."GUIDE_FEATURES_ORDERS_TILES_' in shown
    tiled = next(view for view in plan.views if view.view == "GUIDE_CUSTOMER_WINDOWS")
    assert len(tiled.missing) == 5
    assert len(plan.tiles[0].stale) > 300  # days
    (rows,) = warehouse.run(
        Statement(
            "SELECT COUNT(*), COUNT_IF(EQUAL_NULL(o.SPENT_90_DAYS, t.TILED_SPENT_90_DAYS) AND "
            "EQUAL_NULL(o.ORDERS_LIFETIME, t.TILED_ORDERS_LIFETIME) AND EQUAL_NULL(o.BASKET_30_DAYS, t.TILED_BASKET_30_DAYS)), "
            "COUNT_IF(o.SPENT_90_DAYS > 0) FROM FEATURE_STORE.GUIDE_CUSTOMER_ORDERS AS o FULL JOIN "
            "FEATURE_STORE.GUIDE_CUSTOMER_WINDOWS AS t ON o.CUSTOMER_ID = t.CUSTOMER_ID AND o.AS_OF = t.AS_OF"
        )
    ).rows
    assert rows[0] == rows[1] > rows[2] > 1000
    again = STAGE.plan(context)
    assert (again.missing, [part.stale for part in again.tiles]) == (0, [()])


def test_the_notebooks_code_runs(warehouse: SnowflakeWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(blocks("Try a view in a notebook", "python"), names)
    try:
        expected = warehouse.run(Statement("SELECT COUNT(DISTINCT CUSTOMER_ID) FROM RAW.ORDERS")).scalar()
        assert names["recent"].count() == expected
    finally:
        names["session"].close()


@pytest.mark.parametrize("section", ["Training sets", "Several entities"])
def test_the_guides_keys_are_keys_of_the_pipeline_file(pipeline: Path, tmp_path: Path, section: str) -> None:
    text = GUIDE.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
        folder = tmp_path / str(number)
        shutil.copytree(pipeline, folder)
        body, changes = yaml.safe_load((folder / "pipeline.yaml").read_text()), yaml.safe_load(block)
        body["sources"] |= changes.pop("sources", {})
        for view in changes.get("features", []):
            (folder / view["define"]).write_text("SELECT 1")
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(body | changes, sort_keys=False))
        loaded = spec.load(folder).pipeline
        assert loaded.has_spine == ("source" in changes.get("label", {}))


@pytest.mark.slow
def test_the_guides_functions_and_procedures_run(warehouse: SnowflakeWarehouse, context: Context) -> None:
    exec(blocks("UDFs", "python"), {})
    create_routines(warehouse, NAME, refresh_procedures(warehouse, context.file))
    statements = [text.strip() for text in re.sub(r"--.*", "", blocks("UDFs", "sql")).split(";") if text.strip()]
    customers = "(SELECT 5 AS CUSTOMER_ID, 20 AS RECENCY_DAYS, 6 AS ORDERS, 99.99::NUMBER(10, 2) AS SPENT)"
    scores = [statement.replace("CUSTOMERS", customers) for statement in statements if "RFM_SCORE" in statement]
    assert [warehouse.run(Statement(text)).rows for text in scores] == [[(5, 11.0)], [(5, 11.0)]]
    call = next(text for text in statements if text.startswith("CALL"))
    done = json.loads(warehouse.run(Statement(call.replace("REFRESH_", "REFRESH_GUIDE_"))).scalar())
    assert (done["as_of"], done["written"]) == ("1998-05-08 00:00:00", True)
    assert done["rows"] > 1000
