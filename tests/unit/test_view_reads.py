"""What a view's query may read: the pipeline's sources, each cut at its as-of time, and nothing else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from app.errors import CallerError
from app.features.definitions.reads import Definition, cut_query, shape, sources_read
from app.features.definitions.views import load_view
from app.spec.schema import Source, Tiles
from tests.support.fakes import FakeWarehouse

CUT = datetime(2024, 3, 1)
SOURCES = {
    "orders": Source(table="raw.orders", event_time="ordered"),
    "visits": Source(table='lake.web."Visits"', event_time="seen"),
}
ORDERS, VISITS = (cut_query(source, CUT) for source in SOURCES.values())


def in_snowpark(query: str) -> frozenset[str]:
    return sources_read(shape(query, SOURCES, CUT), SOURCES, Definition("features.py:view"))


def in_sql(folder: Path, text: str) -> frozenset[str]:
    (folder / "view.sql").write_text(text)
    view = load_view(folder, "view.sql")
    query = view.query(FakeWarehouse(), SOURCES, CUT, CUT)
    return sources_read(shape(query, SOURCES, CUT), SOURCES, view.definition(SOURCES))


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("SELECT a FROM orders", {"orders"}),
        ("SELECT a FROM Orders o JOIN VISITS v ON o.a = v.a", {"orders", "visits"}),
        ("WITH x AS (SELECT * FROM orders), y AS (SELECT * FROM x) SELECT * FROM y", {"orders"}),
        ("WITH orders AS (SELECT * FROM orders WHERE a > 1) SELECT * FROM orders", {"orders"}),
        ("SELECT a, (SELECT MAX(b) FROM visits v WHERE v.a = o.a) FROM orders o", {"orders", "visits"}),
        ("SELECT a FROM orders WHERE EXISTS (SELECT 1 FROM visits)", {"orders", "visits"}),
        ("SELECT f.value FROM orders, LATERAL FLATTEN(input => orders.items) f", {"orders"}),
        ("SELECT f.value FROM orders, TABLE(FLATTEN(orders.items)) f", {"orders"}),
        ("WITH RECURSIVE n AS (SELECT 1 x UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT * FROM n, orders", {"orders"}),
        ("SELECT * FROM orders ASOF JOIN visits v MATCH_CONDITION (orders.t >= v.t) ON orders.a = v.a", {"orders", "visits"}),
        ("SELECT column1 FROM VALUES (1), (2)", set()),
        ("SELECT a FROM orders UNION ALL SELECT a FROM visits", {"orders", "visits"}),
        ("SELECT 'FROM raw.orders' AS t FROM orders -- raw.orders", {"orders"}),
    ],
)  # fmt: skip
def test_a_view_in_sql_reads_its_sources_by_their_names(tmp_path: Path, text: str, reads: set[str]) -> None:
    assert in_sql(tmp_path, text) == reads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT a\nFROM raw.orders", r"view\.sql:2: reads the table RAW\.ORDERS itself, .*; write orders, the source"),
        ("\n\nSELECT a\nFROM RAW.ORDERS", r"view\.sql:4: reads the table RAW\.ORDERS"),
        ('SELECT a FROM "RAW"."ORDERS"', "reads the table RAW.ORDERS itself"),
        ("SELECT a FROM prod.raw.orders", r"reads the table PROD\.RAW\.ORDERS itself"),
        ('SELECT a FROM "Visits"', 'reads the table "Visits" itself, .*; write visits'),
        ("SELECT a FROM raw.people", r"reads RAW\.PEOPLE, which is not a source.*`sources: \{people: \{table: RAW\.PEOPLE, "),
        ("SELECT a FROM people", "reads PEOPLE, which is not a source of this pipeline; use orders or visits, or declare it"),
        ('SELECT a FROM "orders"', 'reads "orders", which is not a source'),
        ("SELECT a FROM orders JOIN raw.orders r ON TRUE", "reads the table RAW.ORDERS itself"),
        ("SELECT a FROM orders WHERE a IN (SELECT a FROM raw.orders)", "reads the table RAW.ORDERS itself"),
        ("SELECT a, (SELECT MAX(t) FROM raw.orders) FROM orders", "reads the table RAW.ORDERS itself"),
        ("WITH orders AS (SELECT * FROM raw.orders) SELECT * FROM orders", "reads the table RAW.ORDERS itself"),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM orders) SELECT * FROM a", "reads B, which is not"),
        ("WITH people AS (SELECT * FROM people) SELECT * FROM people", "reads PEOPLE, which is not"),
        ("SELECT * FROM orders WHERE a IN (WITH x AS (SELECT 1 AS a) SELECT a FROM x) AND b IN (SELECT b FROM x)", "reads X"),
        ("SELECT a FROM orders UNION ALL SELECT a FROM raw.orders", "reads the table RAW.ORDERS itself"),
        ("SELECT a FROM raw.orders AT (OFFSET => -60)", "reads the table RAW.ORDERS itself"),
        ("SELECT * FROM raw.orders PIVOT (SUM(a) FOR b IN ('x'))", "reads the table RAW.ORDERS itself"),
        ("SELECT * FROM information_schema.tables", r"reads INFORMATION_SCHEMA\.TABLES"),
        ("SELECT $1 FROM @lake/orders", "reads @lake/orders, which is not a source"),
        ("SELECT * FROM IDENTIFIER('raw.orders')", r"IDENTIFIER\('raw.orders'\)"),
        ("SELECT * FROM TABLE('raw.orders')", r"TABLE\('raw.orders'\) names what it reads by a text"),
        ("SELECT * FROM TABLE(RESULT_SCAN('01a'))", r"RESULT_SCAN\('01a'\) names what it reads by a text"),
        (f"SELECT * FROM ({ORDERS} OR TRUE)", "reads the table RAW.ORDERS itself"),
        ('SELECT * FROM (SELECT * FROM "RAW"."ORDERS" WHERE "ORDERED" < \'2030-01-01 00:00:00\'::TIMESTAMP_NTZ)', "RAW.ORDERS"),
        ("SELECT a FROM orders )( ,", "cannot tell which tables it reads"),
    ],
)  # fmt: skip
def test_any_other_table_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        in_sql(tmp_path, text)


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        (f'SELECT "A" FROM (SELECT * FROM ({ORDERS}))', {"orders"}),
        (f"SELECT * FROM ({ORDERS})", {"orders"}),
        (f"( SELECT * FROM ({ORDERS})) UNION ( SELECT * FROM ({VISITS}))", {"orders", "visits"}),
        (f"WITH SNOWPARK_TEMP_CTE_AB AS (SELECT * FROM ({VISITS})) SELECT * FROM (SNOWPARK_TEMP_CTE_AB)", {"visits"}),
    ],
)
def test_a_frame_reads_its_cut_sources(query: str, reads: set[str]) -> None:
    assert in_snowpark(query) == reads


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('SELECT "A" FROM RAW.ORDERS', r'features\.py:view: reads the table RAW.ORDERS itself, .*write sources\["orders"\]'),
        ('SELECT "A" FROM RAW.PEOPLE', r'reads RAW.PEOPLE, which .*use sources\["orders"\] or sources\["visits"\], or declare'),
        (f"SELECT * FROM ({ORDERS}) AS L JOIN RAW.ORDERS AS R ON TRUE", "reads the table RAW.ORDERS itself"),
        (f'SELECT * FROM ({ORDERS.replace("2024", "2025")})', "reads the table RAW.ORDERS itself"),
    ],
)  # fmt: skip
def test_a_frame_of_any_other_table_is_refused(query: str, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        in_snowpark(query)


def test_all_as_of_times_of_a_query_have_one_shape() -> None:
    def at(cut: datetime) -> str:
        query = (
            f"SELECT * FROM ({cut_query(SOURCES['orders'], cut)}) WHERE \"T\" >= TIMESTAMP '{cut:%Y-%m-%d} 00:00:00'"
        )
        return shape(query, SOURCES, cut)

    assert at(CUT) == at(datetime(2024, 4, 1))


def test_tiles_are_read_from_their_source(tmp_path: Path) -> None:
    tiled = {**SOURCES, "orders": SOURCES["orders"].model_copy(update={"tiles": Tiles(key=("A",), measures=("B",))})}
    (tmp_path / "view.sql").write_text("-- one\nSELECT a, SUM(sum_b) AS b FROM orders_tiles\nGROUP BY a")
    view = load_view(tmp_path, "view.sql")
    query = view.query(FakeWarehouse(), tiled, CUT, CUT)
    assert sources_read(shape(query, tiled, CUT), tiled, view.definition(tiled)) == {"orders"}
    (tmp_path / "view.sql").write_text("-- one\nSELECT a FROM orders_tiles\nJOIN raw.orders USING (a)")
    view = load_view(tmp_path, "view.sql")
    query = view.query(FakeWarehouse(), tiled, CUT, CUT)
    with pytest.raises(CallerError, match=r"view\.sql:3: reads the table RAW\.ORDERS itself"):
        sources_read(shape(query, tiled, CUT), tiled, view.definition(tiled))
