"""What the feature store records about views and features: definitions, their differences, and where features come from."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.errors import CallerError, NotFound
from app.features import store
from app.features.catalogue.difference import difference, with_sources
from app.features.catalogue.lineage import UNKNOWN, Origin, trace
from app.features.catalogue.listing import list_features, show_view
from app.features.catalogue.query_shape import joined, relative_query
from app.features.catalogue.record import (
    CREATE_CATALOG,
    CREATE_VIEWS,
    StoredDefinition,
    WrittenDefinition,
    find_definitions,
    write_records,
)
from app.features.catalogue.source_text import definition_text
from app.features.observe import observe
from app.features.plan import FeaturePlan, plan_features
from app.features.run import run_features
from app.ownership import Existing
from app.ports import ColumnType, Table
from app.sql import Statement
from tests.support.fakes import FakeWarehouse, counted_slices
from tests.support.statements import read
from tests.unit import churn
from tests.unit.test_features import COUNTED, TIMES, observed, watching

FIRST, LAST = datetime(1998, 1, 1), datetime(1998, 3, 2)
TABLES = {"orders": "RAW.ORDERS", "people": "RAW.PEOPLE"}
DESCRIBED = {
    "orders": churn.SOURCE,
    "people": (ColumnType("CUSTOMER_ID", "number"), ColumnType("Born on", "time"), ColumnType("TAGS", "other")),
}
CUT = '(SELECT * FROM "sources cut at as_of"."orders")'


def test_times_are_written_as_distances_from_as_of() -> None:
    def query(as_of: datetime) -> str:
        month = as_of.replace(day=1)
        return (
            f"A >= '{as_of}' AND A < '{as_of - timedelta(days=30)}' AND B > '{as_of + timedelta(hours=6)}' AND C = '1990-01-01'"
            f" AND D > '{month:%Y-%m-%d}' AND E = '1990-01-01 is text' AND F = '{as_of - timedelta(days=1, hours=1)}'"
        )

    assert relative_query((query(FIRST), FIRST), (query(LAST), LAST)) == (
        "A >= 'as_of' AND A < 'as_of - 30 days' AND B > 'as_of + 6:00:00' AND C = '1990-01-01'"
        " AND D > 'as_of (varies)' AND E = '1990-01-01 is text' AND F = 'as_of - 1 day 1:00:00'"
    )
    assert relative_query((query(LAST), LAST), (query(LAST), LAST)).startswith("A >= 'as_of' AND A < 'as_of - 30 days'")


def test_the_queries_of_a_definition_with_branches_are_kept_in_a_fixed_order() -> None:
    assert joined(["SELECT 2", "SELECT 1", "SELECT 2"]) == joined(["SELECT 1", "SELECT 2"]) == "SELECT 1;\n\nSELECT 2"


MODULE = '''"""A docstring."""
from datetime import timedelta

DAYS = timedelta(days=30)  # a month


def cached(function):
    return function


@cached
def view(sources, as_of):
    """A view."""
    return sources["orders"]
'''


def test_a_definition_in_python_begins_with_its_function(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(MODULE)
    text = definition_text(tmp_path / "f.py", "f.py:view")
    assert text.startswith(
        '@cached\ndef view(sources, as_of):\n    """A view."""\n    return sources["orders"]\n\n\nfrom datetime'
    )
    assert "DAYS = timedelta(days=30)" in text
    assert "A docstring" not in text


def test_a_function_that_is_imported_has_the_text_of_its_module(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("from other import view\n")
    assert definition_text(tmp_path / "f.py", "f.py:view") == "from other import view"


def test_a_difference_shows_what_changed_and_nothing_else() -> None:
    stored = with_sources(f"(select A, sum(B) as B\nfrom {CUT} group by A\n)", {"orders": "RAW.ORDERS"})
    present = with_sources(f"(SELECT A, SUM(C) AS B FROM {CUT} GROUP BY A)", {"orders": "RAW.ORDERS"})
    shown = difference(stored, present, "f.sql, version 1 in the store", "f.sql, now").splitlines()
    assert shown[:2] == ["--- f.sql, version 1 in the store", "+++ f.sql, now"]
    assert [line for line in shown[3:] if line[0] in "+-"] == ["-  SUM(B) AS B", "+  SUM(C) AS B"]


def test_another_table_of_a_source_is_a_difference() -> None:
    query = f"SELECT A FROM {CUT}"
    shown = difference(with_sources(query, {"orders": "RAW.A"}), with_sources(query, {"orders": "RAW.B"}), "a", "b")
    assert "--- orders: RAW.A\n+-- orders: RAW.B" in shown


def test_a_long_difference_ends_after_forty_lines() -> None:
    before, after = ("SELECT " + ", ".join(f"{name}{index}" for index in range(200)) for name in "AB")
    lines = difference(before, after, "a", "b").splitlines()
    assert len(lines) == 40
    assert lines[-1].startswith("... and ")
    assert difference("not ( sql", "not ( sqm", "a", "b").splitlines()[-1] == "+not ( sqm"


@pytest.mark.parametrize(
    ("query", "name", "origin"),
    [
        (f"SELECT COUNT(*) AS N FROM {CUT}", "N", Origin(("RAW.ORDERS", "RAW.PEOPLE"), (), "COUNT(*)")),
        (f"SELECT SUM(AMOUNT) AS S FROM {CUT}", "S", Origin(("RAW.ORDERS",), ("RAW.ORDERS.AMOUNT",), "SUM(AMOUNT)")),
        (f"SELECT * FROM {CUT}", "AMOUNT", Origin(("RAW.ORDERS",), ("RAW.ORDERS.AMOUNT",), "AMOUNT")),
        (
            f"WITH gaps AS (SELECT CUSTOMER_ID, AMOUNT * 2 AS TWICE FROM {CUT}) SELECT * FROM (SELECT MAX(TWICE) AS M FROM gaps)",
            "M",
            Origin(("RAW.ORDERS",), ("RAW.ORDERS.AMOUNT",), "MAX(TWICE)\nTWICE = AMOUNT * 2"),
        ),
        (
            'SELECT DATEDIFF(DAY, p."Born on", o.ORDER_DATE) AS AGE FROM "sources cut at as_of"."orders" o '
            'JOIN "sources cut at as_of"."people" p ON p.CUSTOMER_ID = o.CUSTOMER_ID',
            "AGE",
            Origin(
                ("RAW.ORDERS", "RAW.PEOPLE"),
                ("RAW.ORDERS.ORDER_DATE", "RAW.PEOPLE.Born on"),
                'DATEDIFF(DAY, "Born on", ORDER_DATE)',
            ),
        ),
        (f"SELECT 1 AS ONE FROM {CUT}", "ONE", Origin(("RAW.ORDERS", "RAW.PEOPLE"), (), "1")),
        ("SELECT X AS X FROM somewhere", "X", Origin(("RAW.ORDERS", "RAW.PEOPLE"), None, UNKNOWN)),
        (f"SELECT A AS A FROM {CUT}", "B", Origin(("RAW.ORDERS", "RAW.PEOPLE"), None, UNKNOWN)),
        ("not ( sql", "A", Origin(("RAW.ORDERS", "RAW.PEOPLE"), None, UNKNOWN)),
    ],
)  # fmt: skip
def test_a_feature_comes_from_the_columns_of_its_expression(query: str, name: str, origin: Origin) -> None:
    assert trace(f"({query}\n)", [name], TABLES, DESCRIBED) == {name: origin}


@pytest.mark.parametrize(
    "query",
    [
        'SELECT f.VALUE::VARCHAR AS A FROM "sources cut at as_of"."people" p, LATERAL FLATTEN(INPUT => p.TAGS) f',
        'SELECT u.A FROM "sources cut at as_of"."people" p, TABLE(my_udtf(p.TAGS)) u',
    ],
)
def test_a_table_function_never_fails_and_names_the_tables(query: str) -> None:
    (found,) = trace(f"({query}\n)", ["A"], {"people": "RAW.PEOPLE"}, DESCRIBED).values()
    assert found.tables == ("RAW.PEOPLE",)


def with_definitions(stored: StoredDefinition | None = None, **kept: Any) -> FeaturePlan:
    return plan_features(churn.PIPELINE, defined(stored, **kept))


DEFINITION = WrittenDefinition(
    "f.py:v", "def v(): ...", f"(SELECT SUM(AMOUNT) AS TOTAL_SPENT FROM {CUT}\n)", {"orders": "RAW.ORDERS"}
)


def defined(stored: StoredDefinition | None = None, **kept: Any) -> Any:
    found = observed(**kept)
    first = replace(found.views[0], definition=DEFINITION, stored_definition=stored)
    return replace(found, views=(first, *found.views[1:]), sources={"orders": churn.SOURCE})


def test_a_new_definition_is_recorded_with_the_origin_of_each_feature() -> None:
    (record,) = with_definitions().records
    assert (record.view, record.version, record.kind, record.entity) == ("CUSTOMER_ORDERS", 1, "view", ("CUSTOMER_ID",))
    origins = {feature.name: feature.origin for feature in record.features}
    assert origins["TOTAL_SPENT"] == Origin(("RAW.ORDERS",), ("RAW.ORDERS.AMOUNT",), "SUM(AMOUNT)")
    assert origins["RFM_SCORE"] == Origin(("RAW.ORDERS",), None, UNKNOWN)


def test_a_definition_is_written_again_only_if_it_says_something_else() -> None:
    (record,) = with_definitions().records
    known = StoredDefinition(DEFINITION.define, DEFINITION.text, DEFINITION.query, DEFINITION.tables, record.sha256)
    assert with_definitions(known).records == ()
    owned = churn.PIPELINE.model_copy(
        update={
            "features": (
                churn.PIPELINE.features[0].model_copy(update={"owner": "growth", "ttl": timedelta(days=2)}),
                *churn.PIPELINE.features[1:],
            )
        }
    )
    (changed,) = plan_features(owned, defined(known)).records
    assert (changed.owner, changed.ttl_s) == ("growth", 172_800)
    # The row of a view that another pipeline made is that pipeline's.
    table = store.view_table("CUSTOMER_ORDERS")
    finished = ((TIMES[0], churn.KNOWN_AT, 700, "d1", "s", True),)
    shared = replace(defined(known, finished=finished), objects={table: Existing("table", "other")})
    assert plan_features(owned, shared).records == ()
    assert (
        len(
            plan_features(
                owned, replace(shared, views=(replace(shared.views[0], stored_definition=None), shared.views[1]))
            ).records
        )
        == 1
    )


def test_a_refusal_shows_how_the_definition_differs_and_names_the_file() -> None:
    stored = StoredDefinition("old.sql", "SELECT old", DEFINITION.query.replace("SUM", "AVG"), DEFINITION.tables, "")
    finished = ((TIMES[0], churn.KNOWN_AT, 700, "d2", "s", True),)
    with pytest.raises(CallerError) as caught:
        with_definitions(stored, finished=finished)
    first, *lines = str(caught.value).splitlines()
    assert first == "view CUSTOMER_ORDERS: version 1 is stored with another definition; raise its version"
    assert lines[:2] == ["--- old.sql, version 1 in the store", "+++ f.py:v, now"]
    assert [line.split() for line in lines[3:] if line[0] in "+-"] == [
        ["-", "AVG(AMOUNT)", "AS", "TOTAL_SPENT"],
        ["+", "SUM(AMOUNT)", "AS", "TOTAL_SPENT"],
    ]
    same = replace(stored, query=DEFINITION.query)
    with pytest.raises(
        CallerError, match=r"raise its version\. The query of f\.py:v is the same but for its constant times"
    ):
        with_definitions(same, finished=finished)


def test_a_changed_definition_is_refused_also_at_times_that_the_store_lacks() -> None:
    changed = StoredDefinition("old.sql", "SELECT old", DEFINITION.query.replace("SUM", "AVG"), DEFINITION.tables, "")
    earlier = ((TIMES[0] - timedelta(days=400), churn.KNOWN_AT, 700, "d2", "s", True),)
    with pytest.raises(
        CallerError, match=r"version 1 is stored with another definition; raise its version\n--- old\.sql"
    ):
        with_definitions(changed, finished=earlier)
    for same in (replace(changed, text=DEFINITION.text), replace(changed, query=DEFINITION.query)):
        assert with_definitions(same, finished=earlier).missing > 0


def test_definitions_are_written_after_the_slices_and_the_tables_once() -> None:
    warehouse = FakeWarehouse({COUNTED: counted_slices((*TIMES, churn.RUN.as_of), 9, 9)})
    run_features(with_definitions(), warehouse, churn.RUN)
    assert warehouse.statements[-4:-2] == [CREATE_VIEWS, CREATE_CATALOG]
    assert warehouse.texts[-2].startswith('MERGE INTO "FEATURE_STORE"."FEATURE_VIEWS" AS t')
    again = FakeWarehouse({COUNTED: counted_slices((*TIMES, churn.RUN.as_of), 9, 9)})
    run_features(replace(with_definitions(), has_definitions=True, records=()), again, churn.RUN)
    assert not any("FEATURE_VIEWS" in text for text in again.texts)


def test_a_lineage_of_an_earlier_version_that_another_pipeline_made_is_adapted() -> None:
    refused = iter([CallerError("invalid identifier 'NULL_COUNTS'")])

    def answer(_: Any) -> Any:
        if (error := next(refused, None)) is not None:
            raise error
        return FakeWarehouse().run(store.ADAPT_LINEAGE)

    counts = counted_slices((*TIMES, churn.RUN.as_of), 9, 9)
    warehouse = FakeWarehouse({COUNTED: counts, 'MERGE INTO "FEATURE_STORE"."FEATURE_LINEAGE"': answer})
    run_features(plan_features(churn.PIPELINE, observed()), warehouse, churn.RUN)
    at = warehouse.statements.index(store.ADAPT_LINEAGE)
    assert warehouse.statements[at - 1] == warehouse.statements[at + 1]


def test_the_statements_of_the_catalogue_parse() -> None:
    (record,) = with_definitions().records
    write = write_records([record], "churn", churn.KNOWN_AT)
    for statement in (CREATE_VIEWS, CREATE_CATALOG, find_definitions([("V", 1), ("W", 2)]), write):
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


ROW = (
    *("V", 1, "A", "FLOAT", '["ID"]', None, None, 86400, '["RAW.T"]', None, "unknown", "v.sql", "churn", "ME"),
    *(churn.KNOWN_AT, None, None, None, None, None, None),
)


def test_features_are_listed_as_the_store_has_them() -> None:
    (found,) = list_features(FakeWarehouse({"KIND = 'view'": [ROW]}))
    assert (found.view, found.entity, found.ttl_s, found.source_tables) == ("V", ("ID",), 86400, ("RAW.T",))
    assert (found.source_columns, found.rows, found.null_rate, found.used_by) == (None, None, None, ())
    assert list_features(FakeWarehouse({"KIND": NotFound("none yet")})) == []


def test_a_view_that_the_store_does_not_know_is_refused_with_those_that_it_knows() -> None:
    def answer(statement: Statement) -> Table:
        return Table((), [] if statement.binds else [ROW])

    with pytest.raises(NotFound, match="has no view W; its views are V"):
        show_view(FakeWarehouse({"KIND": answer}), "w")
    with pytest.raises(NotFound, match="`snowsage features PIPELINE` writes the first"):
        show_view(FakeWarehouse(), "w")
    shown = FakeWarehouse({"KIND": [ROW], "QUERY_SHAPE FROM": [(1, "text", "query")]})
    assert [(each.version, each.definition, len(each.features)) for each in show_view(shown, "v")] == [(1, "text", 1)]


def test_the_statement_of_the_list_parses() -> None:
    warehouse = FakeWarehouse()
    list_features(warehouse, "V")
    read(warehouse.texts[0])


def test_a_feature_that_is_made_of_the_label_of_a_snapshot_is_refused() -> None:
    training, label = churn.PIPELINE.training, churn.PIPELINE.label
    column = {"define": None, "source": "orders", "column": "AMOUNT", "horizon": None, "as_of": None}
    split = training.split.model_copy(update={"by": "hash"})
    changed = {"label": label.model_copy(update=column), "training": training.model_copy(update={"split": split})}
    snapshot = churn.PIPELINE.model_copy(update=changed)
    found = defined(label=(churn.LABEL[0], ColumnType("AMOUNT", "number")))
    with pytest.raises(CallerError, match=r"CUSTOMER_ORDERS: TOTAL_SPENT is made of AMOUNT of RAW\.ORDERS, the label"):
        plan_features(snapshot, found)
    other = replace(found.views[0], definition=replace(DEFINITION, query=f"(SELECT 1 AS TOTAL_SPENT FROM {CUT}\n)"))
    plan_features(snapshot, replace(found, views=(other, *found.views[1:])))
    plan_features(churn.PIPELINE, defined())  # cut sources hold labels of the past, which are no secret


def test_a_lineage_of_an_earlier_version_is_read_and_adapted() -> None:
    def answer(statement: Statement) -> Table:
        if "l.REMOVED_AT" in statement.text:
            raise CallerError("invalid identifier 'L.REMOVED_AT'")
        return Table((), [("CUSTOMER_ORDERS", TIMES[0], churn.KNOWN_AT, 9, "d", "s", True, None)])

    shown = Table(("name", "kind", "comment"), [("CUSTOMER_ORDERS", "TABLE", "snowsage: pipeline churn; slices")])
    warehouse = watching(**{"AS INTACT": answer, "SHOW OBJECTS": shown, "FEATURE_VIEWS": NotFound("none yet")})
    found = observe(warehouse, churn.FILE, churn.RUN)
    assert (found.has_lineage, found.old_lineage, found.has_definitions) == (True, True, False)
    assert found.views[0].finished == ((TIMES[0], churn.KNOWN_AT, 9, "d", "s", True),)
    warehouse.answers["AS INTACT"] = CallerError("something else")
    warehouse.columns['"FEATURE_LINEAGE"'] = (ColumnType("NULL_COUNTS", "other"), ColumnType("REMOVED_AT", "time"))
    with pytest.raises(CallerError, match="something else"):
        observe(warehouse, churn.FILE, churn.RUN)


def test_a_removed_slice_is_not_found_and_not_damaged() -> None:
    rows = [("CUSTOMER_ORDERS", TIMES[0], churn.KNOWN_AT, 9, "d", "s", False, datetime(1998, 6, 1))]
    shown = Table(("name", "kind", "comment"), [("CUSTOMER_ORDERS", "TABLE", "snowsage: pipeline churn; slices")])
    found = observe(watching(**{"AS INTACT": rows, "SHOW OBJECTS": shown}), churn.FILE, churn.RUN)
    assert found.views[0].finished == ()
    assert found.views[0].removed == ((TIMES[0], churn.KNOWN_AT, datetime(1998, 6, 1)),)
