"""The statements of stored tiles, and the table of each definition."""

from __future__ import annotations

from datetime import date, datetime

from sqlglot import exp

from app.features.tiles.computed import computed_tiles, tile_columns
from app.features.tiles.statements import CREATE_LINEAGE, DayState, TiledSource
from app.spec.schema import Source, Tiles
from tests.support.statements import read

CUT, KNOWN_AT = datetime(2024, 3, 20, 6, 30), datetime(2024, 4, 1)
DAYS = (date(2024, 3, 1), date(2024, 3, 19))


def tiled(*measures: str) -> TiledSource:
    tiles = Tiles(key=("customer_id",), measures=measures)
    return TiledSource("my-shop", "orders", Source(table="RAW.ORDERS", event_time="ORDERED", tiles=tiles))


def test_every_statement_is_snowflakes() -> None:
    made = tiled("AMOUNT", '"net price"')
    statements = [
        CREATE_LINEAGE,
        made.states(CUT),
        made.recorded(KNOWN_AT),
        made.create(CUT),
        made.remove(DAYS, KNOWN_AT),
        made.append(DAYS, CUT, KNOWN_AT),
        made.record([DayState(day, 3, "17") for day in DAYS], KNOWN_AT, KNOWN_AT),
    ]
    for statement in statements:
        tree = read(statement.text)
        assert isinstance(tree, exp.Expr)
        assert len(list(tree.find_all(exp.Placeholder))) == len(statement.binds)


def test_computed_and_stored_tiles_have_the_same_columns() -> None:
    made = tiled("AMOUNT")
    assert made.source.tiles is not None
    for text in (computed_tiles(made.source, CUT), made.stored(CUT, KNOWN_AT)):
        tree = read(text)
        assert isinstance(tree, exp.Select)
        assert tree.named_selects == list(tile_columns(made.source.tiles))
        assert "\n" not in text


def test_a_definition_has_a_table_of_its_own() -> None:
    names = {tiled().table, tiled("AMOUNT").table, tiled("AMOUNT", "TAX").table}
    assert len(names) == 3
    assert all(str(name).startswith("FEATURE_STORE.MY_SHOP_ORDERS_TILES_") for name in names)
