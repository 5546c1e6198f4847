"""Point-in-time correctness of every view and label in ``examples``, run by the local Snowflake as the features stage runs them.

Rows after its as-of time do not change a feature; rows after its horizon do not change a label."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import spec
from app.cloud.snowflake import SnowflakeWarehouse
from app.features.definitions.views import load_view
from app.ports import ColumnType
from app.spec.schema import Source
from app.sql import Name, Statement, columns
from tests.support.running import Clouds

EXAMPLES = Path(__file__).parents[2] / "examples"
AS_OF = datetime(1998, 1, 1)

#: Enough entities for quintiles and windows, few enough for many examples.
ROWS = 600


def registered() -> list[Any]:
    """(folder, definition, time after as_of that its sources include) of every view and label."""
    found = []
    for path in sorted(EXAMPLES.glob("*/pipeline.yaml")):
        pipeline = spec.load(path.parent).pipeline
        if pipeline.is_snapshot:  # its sources have no time at which they could be cut
            continue
        views = [(view.define, timedelta()) for view in pipeline.features]
        for define, beyond in [*views, (pipeline.label.define, pipeline.label.horizon)]:
            found.append(pytest.param(path.parent, define, beyond, id=f"{path.parent.name}-{define}"))
    return found


@pytest.fixture(scope="module")
def warehouse(clouds: Clouds) -> Iterator[SnowflakeWarehouse]:
    found = SnowflakeWarehouse("SNOWSAGE", clouds.environment)
    yield found
    found.close()


class Probe:
    """A copy of a pipeline's sources, to which late rows are added and from which they are removed again."""

    def __init__(self, warehouse: SnowflakeWarehouse, folder: Path) -> None:
        self.warehouse, self.folder = warehouse, folder
        self.sources: dict[str, Source] = {}
        self.types: dict[str, tuple[ColumnType, ...]] = {}
        for name, source in spec.load(folder).pipeline.sources.items():
            original, copy = Name.parse(source.table), Name.of("RAW", f"PROBE_{name.upper()}")
            event = columns([source.event_time])
            warehouse.run(
                Statement(
                    f"CREATE OR REPLACE TABLE {copy.sql} AS SELECT * FROM {original.sql} ORDER BY {event} LIMIT {ROWS}"
                )
            )
            self.sources[name] = source.model_copy(update={"table": str(copy)})
            self.types[name] = warehouse.describe(f"SELECT * FROM {copy.sql}")

    def result(self, define: str, beyond: timedelta) -> Any:
        query = load_view(self.folder, define).query(self.warehouse, self.sources, AS_OF, AS_OF + beyond)
        return self.warehouse.run(Statement(f"SELECT COUNT(*), HASH_AGG(*) FROM ({query})")).rows

    def add(self, name: str, rows: list[dict[str, Any]], cut: datetime) -> None:
        names = [column.name for column in self.types[name]]
        for row in rows:
            values = [cut + row[item] if isinstance(row[item], timedelta) else row[item] for item in names]
            marks = ", ".join("?" for _ in names)
            self.warehouse.run(Statement(f"INSERT INTO {self._table(name)} VALUES ({marks})", tuple(values)))

    def remove_late(self, name: str, cut: datetime) -> None:
        event = columns([self.sources[name].event_time])
        self.warehouse.run(Statement(f"DELETE FROM {self._table(name)} WHERE {event} >= ?", (cut,)))

    def rows_like(self, name: str) -> st.SearchStrategy[dict[str, Any]]:
        """Rows with the source's columns; a time is an offset from the cut."""
        by_kind: dict[str, st.SearchStrategy[Any]] = {
            "number": st.integers(0, 500),
            "time": st.integers(0, 400).map(lambda days: timedelta(days=days)),
            "text": st.text("abc", max_size=3),
            "boolean": st.booleans(),
        }
        return st.fixed_dictionaries({column.name: by_kind[column.kind] for column in self.types[name]})

    def _table(self, name: str) -> str:
        return Name.parse(self.sources[name].table).sql


@pytest.mark.hypothesis  # the plugin recognises only tests that @given decorates
@pytest.mark.parametrize(("folder", "define", "beyond"), registered())
def test_later_rows_change_nothing(warehouse: SnowflakeWarehouse, folder: Path, define: str, beyond: timedelta) -> None:
    probe = Probe(warehouse, folder)
    cut = AS_OF + beyond
    before = probe.result(define, beyond)
    assert before[0][0] > 0

    @settings(max_examples=settings.default.max_examples // 3)  # an example is a dozen statements
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        for name in probe.sources:
            probe.add(name, data.draw(st.lists(probe.rows_like(name), min_size=1, max_size=4)), cut)
        try:
            assert probe.result(define, beyond) == before
        finally:
            for name in probe.sources:
                probe.remove_late(name, cut)

    holds()


def test_a_view_that_bypasses_its_sources_is_detected(warehouse: SnowflakeWarehouse, tmp_path: Path) -> None:
    """The property fails for a view that reads the table directly."""
    probe = Probe(warehouse, EXAMPLES / "churn")
    table = probe.sources["orders"].table
    (tmp_path / "cheat.sql").write_text(f"SELECT customer_id, COUNT(*) AS n FROM {table} GROUP BY customer_id")
    probe.folder = tmp_path
    before = probe.result("cheat.sql", timedelta())
    row = {column.name: timedelta(days=1) if column.kind == "time" else 7 for column in probe.types["orders"]}
    probe.add("orders", [row], AS_OF)
    assert probe.result("cheat.sql", timedelta()) != before
