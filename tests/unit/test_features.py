"""The features stage: the contract, the slices, rejected columns, and the queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from app import spec
from app.errors import CallerError, NotFound, PermanentError
from app.features import store
from app.features.observe import Observed, ObservedView, label_view, observe, training_times
from app.features.plan import expected_slices, feature_set, plan_features
from app.features.run import run_features
from app.features.sources import check_sources, source_state
from app.features.store import Slice, SlicePlan
from app.features.training_set import FeatureSet, scoring_query, training_query
from app.features.views import cut_query, view_query
from app.ports import ColumnType, Table
from app.sql import Statement
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

TIMES = training_times(churn.PIPELINE, churn.RUN.as_of)
SOURCES = churn.PIPELINE.sources


def columns(*named: str) -> tuple[ColumnType, ...]:
    """Columns from texts such as ``"A number"``."""
    return tuple(ColumnType(*text.split()) for text in named)  # type: ignore[arg-type]


def seen(
    view: str, returned: tuple[ColumnType, ...], times: tuple[datetime, ...], finished: tuple[Any, ...] = ()
) -> ObservedView:
    slices = tuple(SlicePlan(view, 1, as_of, "SELECT 1", "d1", f"s-{as_of:%Y%m%d}", "{}") for as_of in times)
    return ObservedView(view, 1, returned, slices, finished)


def observed(
    orders: tuple[ColumnType, ...] = churn.ORDERS,
    rhythm: tuple[ColumnType, ...] = churn.RHYTHM,
    label: tuple[ColumnType, ...] = churn.LABEL,
    finished: tuple[Any, ...] = (),
) -> Observed:
    times = (*TIMES, churn.RUN.as_of)
    views = (seen("CUSTOMER_ORDERS", orders, times, finished), seen("CUSTOMER_RHYTHM", rhythm, times))
    return Observed(views, seen("CHURN_LABEL", label, TIMES))


def with_categories(**categories: tuple[str, ...]) -> spec.Pipeline:
    views = churn.PIPELINE.features
    return churn.PIPELINE.model_copy(
        update={"features": (views[0].model_copy(update={"categories": categories}), views[1])}
    )


def test_training_times_end_one_horizon_before_the_logical_date() -> None:
    assert len(TIMES) == 12
    assert TIMES[-1] == churn.RUN.as_of - timedelta(days=90)
    assert {later - earlier for earlier, later in pairwise(TIMES)} == {timedelta(days=30)}


def test_the_contract_has_the_features_in_the_order_of_the_file() -> None:
    plan = plan_features(churn.PIPELINE, observed())
    assert plan.contract == churn.CONTRACT
    assert [view.view for view in plan.views] == ["CUSTOMER_ORDERS", "CUSTOMER_RHYTHM"]
    assert (plan.training_as_of, plan.scoring_as_of) == (TIMES, churn.RUN.as_of)
    assert plan.missing == 13 + 13 + 12


def test_a_declared_text_becomes_a_category() -> None:
    found = observed(orders=columns("CUSTOMER_ID number", "CHANNEL text", "VIP boolean"))
    plan = plan_features(with_categories(CHANNEL=("web", "store")), found)
    assert plan.contract.columns[:2] == (Column("CHANNEL", "category", ("web", "store")), Column("VIP"))
    assert feature_set(plan, ()).booleans == ("VIP",)


@pytest.mark.parametrize(
    ("change", "categories", "said"),
    [
        ({"orders": columns("CUSTOMER_ID number", "NAME text")}, {}, "CUSTOMER_ORDERS: NAME is text, .*declare its values"),
        ({"orders": columns("CUSTOMER_ID number", "N text")}, {"N": ()}, "N is text, .*declare its values"),
        (
            {"orders": columns("CUSTOMER_ID number", "SINCE time")},
            {},
            "CUSTOMER_ORDERS: SINCE is neither number, boolean nor text; turn it into a number, .* with DATEDIFF",
        ),
        ({"orders": columns("CUSTOMER_ID number", "V other")}, {}, "V is neither number, boolean nor text"),
        ({"orders": columns("CUSTOMER_ID number", "N number")}, {"N": ("a",)}, "N is not a text; leave it out of categories"),
        ({"orders": columns("CUSTOMER_ID number", "N number")}, {"M": ("a",)}, "categories names M, which the view does not"),
        ({"orders": columns("ID number", "N number")}, {}, "CUSTOMER_ORDERS does not return the entity's column CUSTOMER_ID"),
        ({"orders": columns("CUSTOMER_ID number")}, {}, "CUSTOMER_ORDERS returns no feature apart from CUSTOMER_ID"),
        ({"orders": columns("CUSTOMER_ID number", "AS_OF number")}, {}, "AS_OF is reserved by the feature store"),
        ({"orders": columns("CUSTOMER_ID number", "KNOWN_AT number")}, {}, "KNOWN_AT is reserved by the feature store"),
        (
            {"orders": columns("CUSTOMER_ID number", "LONGEST_GAP_DAYS number")},
            {},
            "the name LONGEST_GAP_DAYS is used twice",
        ),
        ({"orders": columns("CUSTOMER_ID number", "CHURNED number")}, {}, "the name CHURNED is used twice"),
        ({"label": columns("CUSTOMER_ID number", "LEFT number")}, {}, "must return CUSTOMER_ID, CHURNED; it returns .*LEFT"),
        ({"label": columns("CHURNED number")}, {}, "must return CUSTOMER_ID, CHURNED; it returns CHURNED"),
        ({"label": columns("CUSTOMER_ID number", "CHURNED text")}, {}, "label: CHURNED must be a number or a boolean"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_features_or_label_are_rejected(change: dict, categories: dict, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        plan_features(with_categories(**categories), observed(**change))


def test_a_slice_is_reused_only_if_definition_and_sources_are_the_same() -> None:
    day, other, stale = TIMES[0], TIMES[1], TIMES[2]
    finished = (
        (day, datetime(1998, 6, 1), 700, "d1", f"s-{day:%Y%m%d}"),
        (day, datetime(1998, 6, 2), 710, "d1", f"s-{day:%Y%m%d}"),
        (other, datetime(1998, 6, 1), 700, "d2", f"s-{other:%Y%m%d}"),
        (stale, datetime(1998, 6, 1), 700, "d1", "s-before-late-rows"),
    )
    plan = plan_features(churn.PIPELINE, observed(finished=finished))
    assert plan.views[0].found == (Slice("CUSTOMER_ORDERS", 1, day, datetime(1998, 6, 2), 710),)
    assert [part.as_of for part in plan.views[0].missing] == [*TIMES[1:], churn.RUN.as_of]
    expected = expected_slices(plan, churn.KNOWN_AT)
    assert len(expected) == 38
    assert {part.known_at for part in expected if part.rows == 0} == {churn.KNOWN_AT}


def answering(rows: int, distinct: int) -> FakeWarehouse:
    return FakeWarehouse({"SELECT COUNT(*), COUNT(DISTINCT": [(rows, distinct)]})


def test_a_slice_is_written_checked_and_then_recorded() -> None:
    finished = tuple((part, churn.KNOWN_AT, 5, "d1", f"s-{part:%Y%m%d}") for part in TIMES)
    found = observed(finished=finished)
    # One view lacks only the slice for scoring.
    views = (
        found.views[0],
        replace(found.views[1], finished=(*finished, (churn.RUN.as_of, churn.KNOWN_AT, 5, "d1", "s-19980701"))),
    )
    plan = plan_features(churn.PIPELINE, Observed(views, replace(found.label, finished=finished)))
    warehouse, told = answering(9, 9), []
    made = run_features(plan, warehouse, churn.RUN, told.append)
    ((delete, insert),) = warehouse.transactions
    assert (delete.text.split()[0], insert.text.split()[0]) == ("DELETE", "INSERT")
    assert delete.binds == (churn.RUN.as_of, 1, churn.KNOWN_AT)
    order = [text.split(" (")[0] for text in warehouse.texts]
    assert order.index(insert.text.split(" (")[0]) < order.index('INSERT INTO "FEATURE_STORE"."FEATURE_LINEAGE"')
    assert warehouse.texts[-1].startswith('CREATE OR REPLACE VIEW "FEATURE_STORE"."CHURN_FEATURES" AS')
    assert told == ["CUSTOMER_ORDERS as of 1998-07-01, 9 rows (1 of 1 slices)"]
    assert Slice("CUSTOMER_ORDERS", 1, churn.RUN.as_of, churn.KNOWN_AT, 9) in made.slices
    assert len(made.slices) == 38


@pytest.mark.parametrize(
    ("rows", "distinct", "said"),
    [
        (10, 9, "CUSTOMER_ORDERS as of 1997-05-07 returns 10 rows for 9 entities; it must return one row for each"),
        (0, 0, "CUSTOMER_ORDERS as of 1997-05-07 has no rows: the sources have no rows before that time"),
    ],
)
def test_an_invalid_slice_is_not_recorded(rows: int, distinct: int, said: str) -> None:
    warehouse = answering(rows, distinct)
    with pytest.raises(CallerError, match=said):
        run_features(plan_features(churn.PIPELINE, observed()), warehouse, churn.RUN)
    assert not [text for text in warehouse.texts if text.startswith(f"INSERT INTO {store.LINEAGE.sql}")]


def test_a_table_of_an_earlier_version_gets_its_missing_columns() -> None:
    present = columns("CUSTOMER_ID number", "A number")
    assert [item.text for item in store.add_columns("V", present, columns("A number", "B text", "C boolean"))] == [
        'ALTER TABLE "FEATURE_STORE"."V" ADD COLUMN "B" VARCHAR',
        'ALTER TABLE "FEATURE_STORE"."V" ADD COLUMN "C" BOOLEAN',
    ]


def test_a_feature_with_a_changed_kind_is_rejected() -> None:
    with pytest.raises(CallerError, match=r"A has another type than in FEATURE_STORE\.V; give it another name"):
        store.add_columns("V", columns("A text"), columns("A number"))


# --- views ------------------------------------------------------------------------------------------------------------


def sql_view(tmp_path: Path, text: str) -> str:
    (tmp_path / "view.sql").write_text(text)
    cut = datetime(1998, 3, 1)
    return view_query(FakeWarehouse(), tmp_path, "view.sql", SOURCES, datetime(1998, 1, 1), cut)


def test_a_view_in_sql_reads_only_source_rows_before_the_cut(tmp_path: Path) -> None:
    query = sql_view(tmp_path, "SELECT customer_id, 1 AS one FROM orders;\n")
    assert query == (
        'WITH orders AS (SELECT * FROM "RAW"."ORDERS" WHERE "ORDER_DATE" < \'1998-03-01 00:00:00\'::TIMESTAMP_NTZ)\n'
        "SELECT * FROM (\nSELECT customer_id, 1 AS one FROM orders\n)"
    )
    assert isinstance(read(query), exp.Select)


@pytest.mark.parametrize(
    ("text", "became"),
    [
        ("SELECT :as_of", "SELECT '1998-01-01 00:00:00'::TIMESTAMP_NTZ"),
        ("SELECT :AS_OF::DATE", "SELECT '1998-01-01 00:00:00'::TIMESTAMP_NTZ::DATE"),
        ("SELECT (:as_of)", "SELECT ('1998-01-01 00:00:00'::TIMESTAMP_NTZ)"),
        ("SELECT x::timestamp", "SELECT x::timestamp"),
        ("SELECT x::as_of_type", "SELECT x::as_of_type"),
        ("SELECT v:as_of", "SELECT v:as_of"),
        ("SELECT :as_of_day", "SELECT :as_of_day"),
    ],
)
def test_only_the_as_of_placeholder_is_replaced(tmp_path: Path, text: str, became: str) -> None:
    assert f"\n{became}\n" in sql_view(tmp_path, text)


def test_a_comment_at_the_end_of_a_view_does_not_hide_the_parenthesis(tmp_path: Path) -> None:
    assert isinstance(read(sql_view(tmp_path, "SELECT customer_id FROM orders -- all of them")), exp.Select)


def test_a_comment_after_the_semicolon_of_a_view_is_accepted(tmp_path: Path) -> None:
    assert isinstance(read(sql_view(tmp_path, "SELECT customer_id FROM orders; -- all of them\n")), exp.Select)


def test_a_cut_excludes_its_own_time() -> None:
    assert cut_query(SOURCES["orders"], datetime(1998, 1, 1)).endswith(
        "\"ORDER_DATE\" < '1998-01-01 00:00:00'::TIMESTAMP_NTZ"
    )


class BuildingWarehouse(FakeWarehouse):
    """Compiles a definition with a session that has its own tables."""

    def compile(self, build: Callable[[Any], Any]) -> str:
        return str(build(None))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def view(sources, as_of):\n    return 1 / 0\n", r"view\.py:2: ZeroDivisionError: division by zero"),
        (
            "def other(sources, as_of): ...\n",
            r"view\.py has no function view; define it as `def view\(sources, as_of\)",
        ),
        ("view = 3\n", r"view\.py has no function view"),
        ("import no_such_module_here\n", r"view\.py:1: ModuleNotFoundError"),
        ("def view(:\n", r"view\.py:1: SyntaxError"),
    ],
)
def test_an_error_in_a_python_view_is_reported_with_its_line(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "view.py").write_text(code)
    with pytest.raises(CallerError, match=said):
        view_query(BuildingWarehouse(), tmp_path, "view.py:view", {}, datetime(1998, 1, 1), datetime(1998, 1, 1))


def test_a_python_view_may_import_modules_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside_the_view.py").write_text("ANSWER = 42\n")
    (tmp_path / "view.py").write_text(
        "import beside_the_view\ndef view(sources, as_of): return beside_the_view.ANSWER\n"
    )
    at = datetime(1998, 1, 1)
    assert view_query(BuildingWarehouse(), tmp_path, "view.py:view", {}, at, at) == "42"


def test_an_error_keeps_its_kind_and_names_the_definition(tmp_path: Path) -> None:
    class Refusing(FakeWarehouse):
        def compile(self, build: Callable[[Any], Any]) -> str:
            raise PermanentError("no")

    (tmp_path / "view.py").write_text("def view(sources, as_of): ...\n")
    with pytest.raises(PermanentError, match=r"view\.py:view: no"):
        view_query(Refusing(), tmp_path, "view.py:view", {}, datetime(1998, 1, 1), datetime(1998, 1, 1))


# --- sources and observation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            columns("ORDER_ID number"),
            r"sources\.orders: RAW\.ORDERS has no column ORDER_DATE; its columns are ORDER_ID",
        ),
        (columns("ORDER_DATE text"), r"sources\.orders: ORDER_DATE must be a DATE or TIMESTAMP column"),
    ],
)
def test_a_source_without_its_event_time_is_rejected(found: tuple[ColumnType, ...], said: str) -> None:
    with pytest.raises(CallerError, match=said):
        check_sources(FakeWarehouse(columns={"RAW": found}), SOURCES)


def test_the_state_of_a_source_is_its_rows_before_the_cut() -> None:
    warehouse = FakeWarehouse({"HASH_AGG": [(7, -12)]})
    assert source_state(warehouse, SOURCES, datetime(1998, 1, 1)) == {
        "orders": {"table": "RAW.ORDERS", "rows": 7, "hash": "-12", "before": "1998-01-01T00:00:00"}
    }


def watching(**answers: Any) -> FakeWarehouse:
    described = {"churned": churn.LABEL, "average_gap_days": churn.RHYTHM, '"RAW"."ORDERS"': churn.SOURCE}
    return FakeWarehouse({"HASH_AGG": [(7, 12)], **answers}, described, compiled="SELECT compiled")


def test_observation_only_reads_and_queries_each_cut_once() -> None:
    warehouse = watching(FEATURE_LINEAGE=NotFound("none yet"))
    found = observe(warehouse, churn.FILE, churn.RUN)
    assert {text.split()[0] for text in warehouse.texts} == {"SELECT"}
    # The label's last cuts are the logical date and some training times, for which the views have already been read.
    assert sum("HASH_AGG" in text for text in warehouse.texts) == len(
        {*TIMES, churn.RUN.as_of} | {at + timedelta(days=90) for at in TIMES}
    )
    assert [part.as_of for part in found.views[1].slices] == [*TIMES, churn.RUN.as_of]
    assert [part.as_of for part in found.label.slices] == [*TIMES]
    assert label_view(churn.PIPELINE) == found.label.view == "CHURN_LABEL"
    assert found.views[0].finished == ()


def test_the_error_for_a_view_that_snowflake_rejects_names_the_view() -> None:
    class Refusing(FakeWarehouse):
        def describe(self, query: str) -> tuple[ColumnType, ...]:
            if "RAW" in query and "average_gap_days" not in query:
                return churn.SOURCE
            raise NotFound("invalid identifier 'X'")

    with pytest.raises(
        NotFound, match=r"view CUSTOMER_ORDERS \(features\.py:customer_orders\): invalid identifier 'X'"
    ):
        observe(Refusing({"HASH_AGG": [(7, 12)]}), churn.FILE, churn.RUN)


# --- queries ------------------------------------------------------------------------------------------------------------


def small_set(booleans: tuple[str, ...] = (), times: int = 2) -> FeatureSet:
    at = [datetime(1998, 1, 1) + timedelta(days=30) * step for step in range(times + 1)]
    contract = Contract((Column("A"), Column("C", "category", ("x",))), key=("ID",), label="L")
    slices = [Slice(view, 3, as_of, churn.KNOWN_AT, 5) for view in ("V", "W") for as_of in at]
    return FeatureSet(
        contract.to_dict(), {"V": ("A",), "W": ("C",)}, booleans, "P_LABEL",
        (*slices, *(Slice("P_LABEL", 1, as_of, churn.KNOWN_AT, 5) for as_of in at[:-1])), tuple(at[:-1]), at[-1],
    )  # fmt: skip


def test_a_training_query_has_key_time_label_and_features_in_order() -> None:
    tree = read(training_query(small_set()))
    assert isinstance(tree, exp.Select)
    assert tree.named_selects == ["ID", "AS_OF", "L", "A", "C"]
    assert [join.side or join.kind for join in tree.args["joins"]] == ["LEFT", ""]
    assert [str(item.to) for item in tree.find_all(exp.Cast) if item.find(exp.Column)] == [
        "DOUBLE",
        "DOUBLE",
        "VARCHAR",
    ]


def test_a_scoring_query_has_no_label_and_only_the_logical_date() -> None:
    features = small_set()
    query = scoring_query(features)
    tree = read(query)
    assert isinstance(tree, exp.Select)
    assert tree.named_selects == ["ID", "AS_OF", "A", "C"]
    assert "P_LABEL" not in query
    assert query.count("'1998-03-02 00:00:00'::TIMESTAMP_NTZ") == 2
    assert "1998-01-01" not in query


def test_booleans_are_cast_to_numbers_through_integers() -> None:
    assert 'CAST(CAST(v0."A" AS INTEGER) AS FLOAT) AS "A"' in training_query(small_set(booleans=("A",)))
    assert 'CAST(v0."A" AS FLOAT) AS "A"' in training_query(small_set())


def test_a_boolean_label_is_cast_to_a_number_through_an_integer() -> None:
    plan = plan_features(churn.PIPELINE, observed(label=columns("CUSTOMER_ID number", "CHURNED boolean")))
    query = training_query(feature_set(plan, expected_slices(plan, churn.KNOWN_AT)))
    assert 'CAST(CAST(l."CHURNED" AS INTEGER) AS FLOAT)' in query


def test_every_slice_is_identified_by_time_version_and_knowledge_time() -> None:
    condition = (
        "(AS_OF = '1998-01-01 00:00:00'::TIMESTAMP_NTZ AND FEATURE_VERSION = 3 "
        "AND KNOWN_AT = '1998-07-01 06:30:00'::TIMESTAMP_NTZ)"
    )
    assert training_query(small_set()).count(condition) == 2


def test_the_statements_of_a_slice_parse() -> None:
    part = SlicePlan("V", 1, datetime(1998, 1, 1), "SELECT 1 AS ID, 2 AS A", "d", "s", "{}")
    statements: list[Statement] = [
        store.CREATE_LINEAGE,
        store.create_view_table("V", {"ID": "NUMBER"}, columns("A number", "B boolean", "C text")),
        *store.write_slice(part, ("ID",), ("A",), churn.KNOWN_AT, churn.KNOWN_AT),
        store.count_slice(part, ("ID",), churn.KNOWN_AT),
        store.write_lineage(part, "r", churn.KNOWN_AT, 5, churn.KNOWN_AT),
        store.find_slices("V", 1),
    ]
    for statement in statements:
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


def test_a_scalar_is_the_first_value_of_the_first_row() -> None:
    assert Table(("A", "B"), [(1, 2), (3, 4)]).scalar() == 1
