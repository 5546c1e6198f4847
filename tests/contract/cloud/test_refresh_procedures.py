"""A procedure in Snowflake writes the slices that the features stage would write, and the stage finds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from app import spec
from app.cloud.snowflake import SnowflakeWarehouse
from app.errors import SnowsageError
from app.features.routines.functions import create_routines
from app.features.routines.procedures import refresh_procedures
from app.features.stage import STAGE
from app.pipeline import look_up_run
from app.runs.ledger import Ledger
from app.runs.stage import Context
from app.sql import Statement

TABLES = {"customer_orders": "REFRESHED_ORDERS", "customer_rhythm": "REFRESHED_RHYTHM"}


@pytest.fixture(scope="module")
def refreshed(
    warehouse: SnowflakeWarehouse, pipeline: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Context]:
    """The small pipeline under another name, with its slices up to a date and its procedures."""
    folder = tmp_path_factory.mktemp("refreshed")
    body = yaml.safe_load((pipeline / "pipeline.yaml").read_text())
    body |= {"name": "refreshed", "logical_date": "1998-05-01"}
    body["label"] |= {"horizon": "30 days", "as_of": {"every": "30 days", "last": 4}}
    body["training"]["split"] = {"by": "time", "validation": 0.25, "test": 0.25}
    for view in body["features"]:
        view["view"] = TABLES[view["view"]]
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(body))
    for name in ("features.py", "rhythm.sql"):
        (folder / name).write_text((pipeline / name).read_text())
    found = context(warehouse, folder, date(1998, 5, 1))
    STAGE.run(found, STAGE.plan(found))
    procedures = refresh_procedures(warehouse, found.file)
    create_routines(warehouse, "refreshed", procedures)
    yield found
    for each in procedures:
        warehouse.run(Statement(f"DROP PROCEDURE {each.name.sql}(DATE)"))


def context(warehouse: SnowflakeWarehouse, folder: Path, day: date) -> Context:
    file = spec.load(folder)
    world: Any = SimpleNamespace(warehouse=warehouse)
    return Context(file, Ledger(warehouse).begin(look_up_run(file, warehouse, day)), world)


def call(warehouse: SnowflakeWarehouse, view: str, day: str) -> dict[str, Any]:
    return json.loads(warehouse.run(Statement(f"CALL FEATURE_STORE.REFRESH_{view}('{day}'::DATE)")).scalar())  # type: ignore[no-any-return]


@pytest.mark.slow
def test_the_stage_finds_the_slices_of_a_procedure(warehouse: SnowflakeWarehouse, refreshed: Context) -> None:
    day = date(1998, 5, 8)
    for view in TABLES.values():
        first = call(warehouse, view, day.isoformat())
        again = call(warehouse, view, day.isoformat())
        assert first["written"] is True
        assert again == {**first, "written": False}
        assert first | {"known_at": "", "rows": 0} == {
            "view": view, "as_of": "1998-05-08 00:00:00", "known_at": "", "rows": 0, "written": True,
        }  # fmt: skip
        plan = STAGE.plan(context(warehouse, refreshed.file.folder, day))
        found = next(seen for seen in plan.views if seen.view == view)
        slices = {part.as_of: part.rows for part in found.found}
        assert slices[datetime(1998, 5, 8)] == first["rows"] > 1000
        assert datetime(1998, 5, 8) not in {part.as_of for part in found.missing}
        query = next(part.query for part in _slices(warehouse, refreshed, day, view))
        differing = Statement(
            f"SELECT COUNT(*) FROM (SELECT * FROM ({query}) EXCEPT SELECT {_columns(warehouse, query)} "
            f"FROM FEATURE_STORE.{view} WHERE AS_OF = '1998-05-08')"
        )
        assert warehouse.run(differing).scalar() == 0


def _columns(warehouse: SnowflakeWarehouse, query: str) -> str:
    return ", ".join(f'"{column.name}"' for column in warehouse.describe(query))


def _slices(warehouse: SnowflakeWarehouse, found: Context, day: date, view: str) -> list[Any]:
    from app.features.observe import observe

    seen = observe(warehouse, found.file, context(warehouse, found.file.folder, day).run)
    return [part for each in seen.views if each.view == view for part in each.slices[-1:]]


@pytest.mark.slow
def test_a_time_without_rows_is_refused_and_leaves_nothing(warehouse: SnowflakeWarehouse, refreshed: Context) -> None:
    view = TABLES["customer_orders"]
    with pytest.raises(SnowsageError) as caught:
        call(warehouse, view, "1990-01-01")
    assert "REFRESHED_ORDERS as of 1990-01-01 00:00:00: no rows" in str(caught.value.__cause__)
    lineage = Statement("SELECT COUNT(*) FROM FEATURE_STORE.FEATURE_LINEAGE WHERE AS_OF = '1990-01-01'")
    assert warehouse.run(lineage).scalar() == 0


@pytest.mark.slow
def test_a_session_in_another_zone_is_refused(environment: dict[str, str], refreshed: Context) -> None:
    other = SnowflakeWarehouse("SNOWSAGE", environment)
    other.run(Statement("ALTER SESSION SET TIMEZONE = 'Europe/London'"))
    with pytest.raises(SnowsageError) as caught:
        call(other, TABLES["customer_orders"], "1998-05-08")
    assert "the session's time zone must be UTC" in str(caught.value.__cause__)
    other.close()
