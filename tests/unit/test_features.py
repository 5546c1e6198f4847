"""The features stage: the contract, the slices, rejected columns, and the queries."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp, parse_one

from app import spec
from app.errors import CallerError, NotFound, PermanentError
from app.features import store
from app.features.definitions.categories import TextValues
from app.features.definitions.column_rules import refuse_other_entity
from app.features.definitions.reads import cut_query
from app.features.definitions.views import load_view
from app.features.diagnosis import explain_refusal
from app.features.observe import Observed, ObservedView, label_view, observe
from app.features.plan import expected_slices, feature_set, plan_features
from app.features.run import run_features
from app.features.sources import check_sources, source_states
from app.features.stage import STAGE
from app.features.store import Counts, Slice, SlicePlan, ViewVersion
from app.features.training_set import FeatureSet, scoring_query, training_query
from app.ownership import Existing
from app.ports import ColumnType, Table
from app.spec.schema import AsOf, Source
from app.sql import Name, Statement
from sagemaker_entry.contract import Column, Contract
from tests.support.fakes import FakeWarehouse, changing_sources, counted_slices
from tests.support.statements import read
from tests.unit import churn
from tests.unit.snapshot import snapshot

TIMES = churn.PIPELINE.training_times(churn.RUN.as_of)
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


def in_view(**changes: Any) -> spec.Pipeline:
    """The pipeline with other keys of its first view."""
    views = churn.PIPELINE.features
    return churn.PIPELINE.model_copy(update={"features": (views[0].model_copy(update=changes), views[1])})


TEXTS = columns("CUSTOMER_ID number", "CHANNEL text", "PLAN text")
READ = {
    ("CUSTOMER_ORDERS", "CHANNEL"): TextValues(("store", "web"), 2),
    ("CUSTOMER_ORDERS", "PLAN"): TextValues(("a", "b"), 2),
}


@pytest.mark.parametrize(
    ("changes", "channel", "plan"),
    [
        ({}, (("store", "web"), "null"), (("a", "b"), "null")),
        ({"categories": {"CHANNEL": ("web",)}}, (("web",), "error"), (("a", "b"), "null")),
        ({"categories": {"CHANNEL": ("web",), "PLAN": ()}}, (("web",), "error"), (("a", "b"), "null")),
        ({"unknown": "error"}, (("store", "web"), "error"), (("a", "b"), "error")),
        ({"unknown": {"PLAN": "error"}}, (("store", "web"), "null"), (("a", "b"), "error")),
        ({"categories": {"CHANNEL": ("web",)}, "unknown": "null"}, (("web",), "null"), (("a", "b"), "null")),
    ],
)
def test_texts_have_listed_values_or_those_of_the_data(changes: Any, channel: Any, plan: Any) -> None:
    found = plan_features(in_view(**changes), observed(orders=TEXTS), values=READ).contract
    assert found.columns[:2] == tuple(
        Column(name, "category", *rule) for name, rule in (("CHANNEL", channel), ("PLAN", plan))
    )
    again = plan_features(in_view(**changes), observed(orders=TEXTS), values=dict(reversed(READ.items()))).contract
    assert again.fingerprint == found.fingerprint


def test_a_text_with_too_many_values_is_refused_with_its_number_and_what_to_do() -> None:
    many = READ | {("CUSTOMER_ORDERS", "PLAN"): TextValues(("a", "b", "c"), 3014)}
    for define, said in (
        ("f.py:g", "`F.when(F.col('PLAN').isin('...'), F.col('PLAN')).otherwise('other').alias('PLAN')`"),
        ("f.sql", "`CASE WHEN PLAN IN ('...') THEN PLAN ELSE 'other' END AS PLAN`"),
    ):
        with pytest.raises(CallerError) as caught:
            plan_features(in_view(categories_limit=2, define=define), observed(orders=TEXTS), values=many)
        assert str(caught.value) == (
            "view CUSTOMER_ORDERS: PLAN is a text with 3,014 distinct values in the training rows, more than categories_limit: 2. "
            f"Map rare values to one in {define}, {said}; or list those that count in the view, `categories: {{PLAN: [...]}}` with "
            "`unknown: {PLAN: null}`; or raise the limit, `categories_limit: 3014`; or leave the column out, as an identifier or a "
            "free text"
        )
    plan_features(in_view(categories_limit=3014), observed(orders=TEXTS), values=many)


def test_rules_of_columns_that_are_no_text_features_are_refused() -> None:
    for changes, said in (
        (
            {"unknown": {"PLNA": "null"}},
            "unknown names PLNA, which the view does not return as a feature; did you mean PLAN?",
        ),
        (
            {"categories": {"X": ()}},
            "categories names X, which the view does not return as a feature; its features are CHANNEL, PLAN",
        ),
        (
            {"unknown": {"CUSTOMER_ID": "null"}},
            "unknown names CUSTOMER_ID, which the view does not return as a feature",
        ),
    ):
        with pytest.raises(CallerError, match=re.escape(said)):
            plan_features(in_view(**changes), observed(orders=TEXTS), values=READ)
    with pytest.raises(CallerError, match="N is not a text; leave it out of unknown"):
        plan_features(in_view(unknown={"N": "null"}), observed(orders=columns("CUSTOMER_ID number", "N number")))


def test_hyperparameters_that_do_not_fit_the_features_are_refused_before_the_job() -> None:
    training = churn.PIPELINE.training.model_copy(update={"hyperparameters": {"tree_method": "exact"}})
    with pytest.raises(CallerError, match=r"training\.hyperparameters\.tree_method: exact cannot use categories"):
        plan_features(in_view().model_copy(update={"training": training}), observed(orders=TEXTS), values=READ)


@pytest.mark.parametrize(
    ("column", "kind", "sql", "snowpark"),
    [
        (
            "SIGNUP_DATE", "time DATE", "DATEDIFF('day', SIGNUP_DATE, :as_of) AS SIGNUP_AGE_DAYS",
            "F.datediff('day', F.col('SIGNUP_DATE'), F.lit(as_of)).alias('SIGNUP_AGE_DAYS')",
        ),
        (
            "seenAt", "time TIMESTAMP_TZ", "DATEDIFF('day', \"seenAt\", :as_of) AS SEENAT_AGE_DAYS",
            "F.datediff('day', F.col('\"seenAt\"'), F.lit(as_of)).alias('SEENAT_AGE_DAYS')",
        ),
        ("OPENS", "time TIME", "HOUR(OPENS) AS OPENS_HOUR", "F.hour(F.col('OPENS')).alias('OPENS_HOUR')"),
        ("TAGS", "other ARRAY", "ARRAY_SIZE(TAGS) AS TAGS_SIZE", "F.array_size(F.col('TAGS')).alias('TAGS_SIZE')"),
        ("DOC", "other VARIANT", "DOC:key::FLOAT AS DOC_KEY", "F.col('DOC')['key'].cast('float').alias('DOC_KEY')"),
        ("DOC", "other OBJECT", "DOC:key::FLOAT AS DOC_KEY", "F.col('DOC')['key'].cast('float').alias('DOC_KEY')"),
        ("RAW", "other BINARY", "LENGTH(RAW) AS RAW_LENGTH", "F.length(F.col('RAW')).alias('RAW_LENGTH')"),
    ],
)  # fmt: skip
def test_a_type_that_is_no_feature_is_refused_with_the_expression_to_write(
    column: str, kind: str, sql: str, snowpark: str
) -> None:
    reduced, named = kind.split()
    for define, written in (("f.sql", sql), ("f.py:g", snowpark)):
        found = observed(orders=(churn.ORDERS[0], ColumnType(column, reduced, type=named)))  # type: ignore[arg-type]
        with pytest.raises(CallerError) as caught:
            plan_features(in_view(define=define), found)
        assert str(caught.value).startswith(
            f"view CUSTOMER_ORDERS: {column} is {'an' if named[0] in 'AO' else 'a'} {named}, "
        )
        assert f"write `{written}` in {define}, or leave it out" in str(caught.value)
    parse_one(f"SELECT {sql.replace(':as_of', 'CURRENT_DATE')} FROM t", dialect="snowflake")


def test_every_column_of_a_type_that_is_no_feature_is_reported() -> None:
    found = (
        *churn.ORDERS,
        ColumnType("SINCE", "time"),
        ColumnType("PLACE", "other", type="GEOGRAPHY"),
        ColumnType("X", "other"),
    )
    with pytest.raises(CallerError) as caught:
        plan_features(churn.PIPELINE, observed(orders=found))
    since, place, unnamed = str(caught.value).splitlines()
    assert since.startswith(
        "view CUSTOMER_ORDERS: SINCE is of a type that XGBoost cannot take, neither number, boolean nor text; its"
    )
    assert place.startswith(
        "view CUSTOMER_ORDERS: PLACE is a GEOGRAPHY, neither number, boolean nor text; turn it into a number in"
    )
    assert unnamed.startswith("view CUSTOMER_ORDERS: X is of a type that XGBoost cannot take")


@pytest.mark.parametrize(
    ("change", "categories", "said"),
    [
        ({"orders": columns("CUSTOMER_ID number", "NAME text")}, {}, "every value of NAME is NULL in the training rows"),
        ({"orders": columns("CUSTOMER_ID number", "N text")}, {"N": ()}, "every value of N is NULL in the training rows"),
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
        ({"orders": columns("CUSTOMER_ID number", "as_of number")}, {}, "as_of is reserved by the feature store"),
        ({"orders": columns("CUSTOMER_ID number", "churned number")}, {}, "the name CHURNED is used twice"),
        ({"orders": columns("CUSTOMER_ID text", "N number")}, {}, "the key CUSTOMER_ID is text, and the entity declares NUMBER; "
         r"write entity: \{CUSTOMER_ID: VARCHAR\}, or return CUSTOMER_ID::NUMBER AS CUSTOMER_ID"),
        ({"orders": columns("CUSTOMER_ID time", "N number")}, {}, r"CUSTOMER_ID is neither a number nor a text; return TO_"),
        ({"label": columns("CUSTOMER_ID text", "CHURNED number")}, {}, "view CHURN_LABEL: the key CUSTOMER_ID is text"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_features_or_label_are_rejected(change: dict, categories: dict, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        plan_features(with_categories(**categories), observed(**change))


DECIMAL = ColumnType("CUSTOMER_ID", "number", whole=False)


def test_a_key_with_decimals_is_refused_with_its_name() -> None:
    for found in (observed(orders=(DECIMAL, *churn.ORDERS[1:])), observed(label=(DECIMAL, churn.LABEL[1]))):
        with pytest.raises(
            CallerError, match="the key CUSTOMER_ID is a number with decimals, and the entity's NUMBER is whole"
        ):
            plan_features(churn.PIPELINE, found)
    texts = churn.PIPELINE.model_copy(update={"entity": {"CUSTOMER_ID": "VARCHAR"}})
    with pytest.raises(CallerError, match=r"whose text differs from view to view; return TO_VARCHAR\(CUSTOMER_ID\)"):
        plan_features(texts, observed(orders=(DECIMAL, *churn.ORDERS[1:])))
    plan_features(texts, observed())  # whole numbers have one text


@pytest.mark.parametrize(
    ("name", "alias"),
    [("days since", "DAYS_SINCE"), ("a[0]", "A_0"), ("x<5", "X_5"), ('say "hi"', "SAY_HI"), ("Größe", "GROE")],
)
def test_a_feature_name_that_fails_later_is_refused_with_the_alias_to_write(name: str, alias: str) -> None:
    found = observed(orders=(churn.ORDERS[0], ColumnType(name, "number"), ColumnType("b,c", "number")))
    with pytest.raises(CallerError) as caught:
        plan_features(churn.PIPELINE, found)
    said = str(caught.value)
    assert said.startswith(f"view CUSTOMER_ORDERS: the name {name} cannot be an argument of the SQL function")
    assert f"give it an alias: AS {alias}; the name b,c cannot be" in said


def test_names_of_any_case_are_features() -> None:
    found = observed(orders=(churn.ORDERS[0], ColumnType("tenureMonths", "number"), ColumnType("_n$1", "number")))
    assert plan_features(churn.PIPELINE, found).contract.names[:2] == ("tenureMonths", "_n$1")


PART = SlicePlan("CUSTOMER_ORDERS", 1, churn.RUN.as_of, "SELECT 1", "d", "s", "{}")


@pytest.mark.parametrize(
    ("counts", "present", "said"),
    [
        (
            (300, 12),
            "CUSTOMER_ID number",
            "view CUSTOMER_ORDERS as of 1998-07-01: CUSTOMER_ID is NULL in 12 of 300 rows, and an entity needs its key; leave "
            "those rows of the sources out: WHERE CUSTOMER_ID IS NOT NULL",
        ),
        (
            (300, 0),
            "SHOP number",
            "FEATURE_STORE.CUSTOMER_ORDERS has the columns SHOP, which the view does not return; if one of them is a key",
        ),
        (
            (300, 0),
            "AS_OF time",
            "view CUSTOMER_ORDERS as of 1998-07-01: Snowflake: NULL result in a non-nullable column",
        ),
    ],
)
def test_a_slice_that_is_refused_says_why(counts: tuple[int, int], present: str, said: str) -> None:
    warehouse = FakeWarehouse({"COUNT_IF": [counts]}, {"FEATURE_STORE": columns(present)})
    error = CallerError("Snowflake: NULL result in a non-nullable column")
    assert said in str(explain_refusal(warehouse, PART, ("CUSTOMER_ID",), ("A",), error))


@pytest.mark.parametrize("present", ["CLIENT_ID number", "CUSTOMER_ID text"])
def test_a_table_of_another_entity_is_refused(present: str) -> None:
    with pytest.raises(CallerError, match=r"was made with another entity than \(CUSTOMER_ID NUMBER\): its columns are"):
        refuse_other_entity("CUSTOMER_ORDERS", columns(present, "AS_OF time"), {"CUSTOMER_ID": "NUMBER"})
    refuse_other_entity("CUSTOMER_ORDERS", columns("CUSTOMER_ID number", "AS_OF time"), {"CUSTOMER_ID": "NUMBER"})


def test_a_slice_is_reused_only_if_definition_and_sources_are_the_same() -> None:
    day, stale = TIMES[0], TIMES[2]
    finished = (
        (day, datetime(1998, 6, 1), 700, "d1", f"s-{day:%Y%m%d}", True),
        (day, datetime(1998, 6, 2), 710, "d1", f"s-{day:%Y%m%d}", True),
        (stale, datetime(1998, 6, 1), 700, "d1", "s-before-late-rows", True),
    )
    plan = plan_features(churn.PIPELINE, observed(finished=finished))
    assert plan.views[0].found == (Slice("CUSTOMER_ORDERS", 1, day, datetime(1998, 6, 2), 710),)
    assert [part.as_of for part in plan.views[0].missing] == [*TIMES[1:], churn.RUN.as_of]
    expected = expected_slices(plan, churn.KNOWN_AT)
    assert len(expected) == 38
    assert {part.known_at for part in expected if part.rows == 0} == {churn.KNOWN_AT}


def test_a_slice_with_other_rows_than_were_written_is_written_again() -> None:
    """Two processes that wrote the same slice left its rows twice; someone deleted rows of another."""
    day, other = TIMES[0], TIMES[1]
    finished = (
        (day, datetime(1998, 6, 1), 700, "d1", f"s-{day:%Y%m%d}", False),
        (other, datetime(1998, 6, 1), 700, "d1", f"s-{other:%Y%m%d}", False),
        (other, datetime(1998, 6, 2), 700, "d1", f"s-{other:%Y%m%d}", True),
    )
    plan = plan_features(churn.PIPELINE, observed(finished=finished))
    assert plan.views[0].found == (Slice("CUSTOMER_ORDERS", 1, other, datetime(1998, 6, 2), 700),)
    assert [part.as_of for part in plan.views[0].missing] == [day, *TIMES[2:], churn.RUN.as_of]
    assert (plan.views[0].damaged, plan.damaged) == (1, 1), "the second one has an intact slice next to it"
    made = feature_set(plan, ())
    assert made.repaired == 1
    assert "1 damaged slices were written again" in STAGE.summarize(made).what


ORDERS_TABLE, CURRENT = store.view_table("CUSTOMER_ORDERS"), store.current_view("churn")


def stored(found: Observed, name: Name, owner: str | None, *, ours: bool = False) -> Observed:
    return replace(found, objects={**found.objects, name: Existing(f"table {name}", owner, ours)})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        (ORDERS_TABLE, "give view CUSTOMER_ORDERS another name"),
        (store.view_table("CHURN_LABEL"), "give the pipeline another name"),
        (CURRENT, "give the pipeline another name"),
    ],
)
def test_tables_of_another_pipeline_are_not_written(name: Name, instead: str) -> None:
    with pytest.raises(
        CallerError, match=rf"{name} belongs to pipeline other, and pipeline churn would replace it; {instead}"
    ):
        plan_features(churn.PIPELINE, stored(observed(), name, "other"))
    with pytest.raises(CallerError, match=rf"{name} exists and no pipeline made it.*; {instead}"):
        plan_features(churn.PIPELINE, stored(observed(), name, None))


def test_a_table_from_before_the_rule_is_adopted() -> None:
    found = stored(stored(observed(), ORDERS_TABLE, None, ours=True), CURRENT, None, ours=True)
    plan = plan_features(churn.PIPELINE, found)
    assert [item.text for item in plan.adopt] == [
        'COMMENT ON TABLE "FEATURE_STORE"."CUSTOMER_ORDERS" IS '
        "'snowsage: pipeline churn; slices of a feature view or label'"
    ]
    warehouse = answering(9, 9)
    run_features(plan, warehouse, churn.RUN)
    assert warehouse.statements[0] == plan.adopt[0]
    assert 'CREATE OR REPLACE VIEW "FEATURE_STORE"."CHURN_FEATURES" COPY GRANTS COMMENT = ' in warehouse.texts[-1]


def test_a_view_whose_version_is_stored_with_another_definition_is_rejected() -> None:
    finished = ((TIMES[0], churn.KNOWN_AT, 700, "d2", "s", True),)
    with pytest.raises(
        CallerError, match="CUSTOMER_ORDERS: version 1 is stored with another definition; raise its version"
    ):
        plan_features(churn.PIPELINE, observed(finished=finished))
    foreign = stored(observed(finished=finished), ORDERS_TABLE, "other")
    with pytest.raises(
        CallerError, match="stored with another definition by pipeline other; give the view another name"
    ):
        plan_features(churn.PIPELINE, foreign)


def test_a_view_of_another_pipeline_is_shared_if_its_definition_is_the_same() -> None:
    finished = ((TIMES[0], churn.KNOWN_AT, 700, "d1", f"s-{TIMES[0]:%Y%m%d}", True),)
    plan = plan_features(churn.PIPELINE, stored(observed(finished=finished), ORDERS_TABLE, "other"))
    assert [part.as_of for part in plan.views[0].found] == [TIMES[0]]
    assert plan.adopt == ()


# --- identical slices -----------------------------------------------------------------------------------------------------

CONSTANT = (datetime(1990, 1, 1), datetime(1990, 1, 1))
EARLIER = (datetime(1990, 1, 1), datetime(1995, 1, 1))
MOVING = (datetime(1990, 1, 1), datetime(1998, 6, 30))


def of_sources(spans: dict[str, Any], reads: dict[str, str]) -> tuple[spec.Pipeline, Observed]:
    """A pipeline and what is observed of it. ``spans``: by source. ``reads``: by view, the sources' names, separated by blanks."""
    sources = {name: Source(table=f"RAW.{name.upper()}", event_time="SINCE") for name in spans}
    found = observed()

    def states(seen: ObservedView) -> ObservedView:
        slices = []
        for nth, part in enumerate(seen.slices):
            rows = {name: {"rows": nth if span == MOVING else 5, "hash": "1"} for name, span in spans.items()}
            slices.append(replace(part, sources=json.dumps(rows)))
        return replace(seen, slices=tuple(slices), reads=frozenset(reads[seen.view].split()))

    views = tuple(states(seen) for seen in found.views)
    return churn.PIPELINE.model_copy(update={"sources": sources}), Observed(views, states(found.label), {}, spans)


@pytest.mark.parametrize(
    ("spans", "orders", "rhythm", "label", "said"),
    [
        (
            {"a": CONSTANT}, "a", "a", "a",
            r"the label is made of the same rows at all as-of times from 1997-05-07 to 1998-04-02, .*"
            r"SINCE of RAW\.A \(sources\.a\) has the same value in all rows\. Let event_time name",
        ),
        ({"a": MOVING, "b": CONSTANT}, "a", "a", "b", r"the label is .*SINCE of RAW\.B \(sources\.b\) has the same value"),
        ({"a": MOVING, "b": CONSTANT}, "a", "b", "a", r"view CUSTOMER_RHYTHM is .*sources\.b\) has the same value in all rows"),
        ({"a": MOVING, "b": EARLIER}, "b", "b", "a", r"view CUSTOMER_ORDERS is .*sources\.b\) has no value between the first"),
        ({"a": MOVING, "b": EARLIER}, "a", "a", "b", "the label is .*has no value between the first and the last"),
        ({"a": MOVING, "b": None}, "a", "a", "b", r"the label has no rows: RAW\.B \(sources\.b\) has no rows before the last"),
        ({"a": MOVING, "b": None, "c": EARLIER}, "a", "a", "b c", r"the label is .*b\) is before the last as-of time in no row"),
        ({"a": MOVING, "b": CONSTANT, "c": EARLIER}, "a", "b c", "a", r"RHYTHM is .*b\) has the same .*; SINCE .*c\) has no value"),
    ],
)  # fmt: skip
def test_identical_slices_are_refused_with_source_and_column(
    spans: dict[str, Any], orders: str, rhythm: str, label: str, said: str
) -> None:
    reads = {"CUSTOMER_ORDERS": orders, "CUSTOMER_RHYTHM": rhythm, "CHURN_LABEL": label}
    with pytest.raises(CallerError, match=said):
        plan_features(*of_sources(spans, reads))


@pytest.mark.parametrize(
    ("spans", "orders", "rhythm", "label"),
    [
        ({"a": MOVING}, "a", "a", "a"),
        ({"a": MOVING, "b": EARLIER}, "a", "b", "a"),  # attributes of entities that became known before
        ({"a": MOVING, "b": CONSTANT}, "a b", "a", "a b"),  # looked up by rows that change
    ],
)
def test_slices_that_change_with_some_source_are_accepted(
    spans: dict[str, Any], orders: str, rhythm: str, label: str
) -> None:
    reads = {"CUSTOMER_ORDERS": orders, "CUSTOMER_RHYTHM": rhythm, "CHURN_LABEL": label}
    assert plan_features(*of_sources(spans, reads)).missing == 38


#: Part of the statement that counts the rows of slices.
COUNTED = " AS NULLS\nFROM"


def answering(rows: int, distinct: int) -> FakeWarehouse:
    times = (*TIMES, churn.RUN.as_of) if rows else ()
    return FakeWarehouse({COUNTED: counted_slices(times, rows, distinct)})


def test_a_slice_is_written_checked_and_then_recorded() -> None:
    finished = tuple((part, churn.KNOWN_AT, 5, "d1", f"s-{part:%Y%m%d}", True) for part in TIMES)
    found = observed(finished=finished)
    # One view lacks only the slice for scoring.
    views = (
        found.views[0],
        replace(found.views[1], finished=(*finished, (churn.RUN.as_of, churn.KNOWN_AT, 5, "d1", "s-19980701", True))),
    )
    table = Existing("table FEATURE_STORE.CUSTOMER_ORDERS", "churn")
    objects = {store.view_table("CUSTOMER_ORDERS"): table}
    plan = plan_features(churn.PIPELINE, Observed(views, replace(found.label, finished=finished), objects))
    warehouse, told = answering(9, 9), []
    made = run_features(plan, warehouse, churn.RUN, told.append)
    (delete,) = (item for item in warehouse.statements if item.text.startswith("DELETE"))
    assert delete.binds == (1, churn.KNOWN_AT, churn.RUN.as_of)
    (merge,) = (
        item for item in warehouse.statements if item.text.startswith('MERGE INTO "FEATURE_STORE"."CUSTOMER_ORDERS"')
    )
    order = [text.split(" (")[0] for text in warehouse.texts]
    recorded = next(text for text in order if text.startswith(f"MERGE INTO {store.LINEAGE.sql}"))
    assert order.index(merge.text.split(" (")[0]) < order.index(recorded)
    assert warehouse.texts[-1].startswith('CREATE OR REPLACE VIEW "FEATURE_STORE"."CHURN_FEATURES" COMMENT = ')
    assert told == ["CUSTOMER_ORDERS: 1 slices written (1 of 1 in all)"]
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
    assert not [text for text in warehouse.texts if text.startswith(f"MERGE INTO {store.LINEAGE.sql}")]


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
    return load_view(tmp_path, "view.sql").query(FakeWarehouse(), SOURCES, datetime(1998, 1, 1), cut)


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

    def compile(self, build: Callable[[Any], Any], described: object = None) -> str:
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
        load_view(tmp_path, "view.py:view").query(BuildingWarehouse(), {}, datetime(1998, 1, 1), datetime(1998, 1, 1))


def test_a_python_view_may_import_modules_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside_the_view.py").write_text("ANSWER = 42\n")
    (tmp_path / "view.py").write_text(
        "import beside_the_view\ndef view(sources, as_of): return beside_the_view.ANSWER\n"
    )
    at = datetime(1998, 1, 1)
    assert load_view(tmp_path, "view.py:view").query(BuildingWarehouse(), {}, at, at) == "42"


def test_an_error_keeps_its_kind_and_names_the_definition(tmp_path: Path) -> None:
    class Refusing(FakeWarehouse):
        def compile(self, build: Callable[[Any], Any], described: object = None) -> str:
            raise PermanentError("no")

    (tmp_path / "view.py").write_text("def view(sources, as_of): ...\n")
    with pytest.raises(PermanentError, match=r"view\.py:view: no"):
        load_view(tmp_path, "view.py:view").query(Refusing(), {}, datetime(1998, 1, 1), datetime(1998, 1, 1))


# --- sources and observation --------------------------------------------------------------------------------------------


class Described(FakeWarehouse):
    """Rejects the columns that its one table does not have."""

    def __init__(self, table: tuple[ColumnType, ...] | Exception) -> None:
        super().__init__()
        self.table = table

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        self.described.append(query)
        if isinstance(self.table, Exception):
            raise self.table
        if query.startswith("SELECT *"):
            return self.table
        found = [ColumnType("orders", column.kind) for column in self.table if column.name == "ORDER_DATE"]
        if not found:
            raise NotFound("invalid identifier")
        return tuple(found)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            columns("ORDER_ID number"),
            r"sources\.orders\.event_time: RAW\.ORDERS has no column ORDER_DATE; its columns are ORDER_ID",
        ),
        (columns("ORDER_DATE text"), r"sources\.orders\.event_time: ORDER_DATE must be a DATE or TIMESTAMP column"),
        (
            NotFound("Object 'RAW.ORDERS' does not exist"),
            r"sources\.orders\.table: RAW\.ORDERS cannot be read: Object 'RAW",
        ),
    ],
)
def test_a_source_without_its_event_time_is_rejected(found: tuple[ColumnType, ...] | Exception, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        check_sources(Described(found), SOURCES)


def test_sources_are_checked_by_one_question() -> None:
    warehouse = Described(columns("ORDER_DATE time"))
    check_sources(warehouse, SOURCES)
    assert warehouse.described == ['SELECT s0."ORDER_DATE" AS "orders" FROM "RAW"."ORDERS" AS s0']


def test_the_state_of_a_source_is_the_sum_over_the_intervals_before_the_cut() -> None:
    first, second, third = (datetime(1998, month, 1) for month in (1, 2, 3))
    rows = [("orders", 2, 5, -30, second, second), ("orders", 0, 7, -12, datetime(1997, 5, 1), datetime(1997, 12, 31))]
    warehouse = FakeWarehouse({"ROW_HASH": rows})
    states = source_states(warehouse, SOURCES, [third, first, second])
    assert [(at, state["orders"]["rows"], int(state["orders"]["hash"])) for at, state in states.at.items()] == [
        (first, 7, 2**63 - 25 - 12),
        (second, 7, 2**63 - 25 - 12),
        (third, 12, 2**63 - 25 - 42),
    ]
    assert states.at[third]["orders"] | {"hash": ""} == {
        "table": "RAW.ORDERS",
        "rows": 12,
        "hash": "",
        "before": "1998-03-01T00:00:00",
    }
    assert states.spans == {"orders": (datetime(1997, 5, 1), second)}
    assert len(warehouse.statements) == 1


def test_a_source_without_rows_before_the_cuts_has_no_span() -> None:
    states = source_states(FakeWarehouse(), SOURCES, [datetime(1998, 1, 1)])
    assert states.spans == {"orders": None}
    assert states.at[datetime(1998, 1, 1)]["orders"]["rows"] == 0


class Watched(FakeWarehouse):
    """Returns different columns for the two Snowpark definitions; the label is described last."""

    def describe(self, query: str) -> tuple[ColumnType, ...]:
        found = super().describe(query)
        return churn.LABEL if self.described.count(query) == 2 else found


def watching(**answers: Any) -> FakeWarehouse:
    described = {
        "churned": churn.LABEL,
        "average_gap_days": churn.RHYTHM,
        "SELECT compiled": churn.ORDERS,
        '"CUSTOMER_ORDERS"': churn.ORDERS,
        '"CUSTOMER_RHYTHM"': churn.RHYTHM,
        '"CHURN_LABEL"': churn.LABEL,
    }
    return Watched({"ROW_HASH": changing_sources("orders"), **answers}, described, compiled="SELECT compiled")


def test_observation_only_reads_and_reads_the_sources_once() -> None:
    warehouse = watching(FEATURE_LINEAGE=NotFound("none yet"))
    found = observe(warehouse, churn.FILE, churn.RUN)
    assert {text.split()[0] for text in warehouse.texts} == {"SELECT", "SHOW"}
    assert sum("ROW_HASH" in text for text in warehouse.texts) == 1
    assert [part.as_of for part in found.views[1].slices] == [*TIMES, churn.RUN.as_of]
    assert [part.as_of for part in found.label.slices] == [*TIMES]
    assert label_view(churn.PIPELINE) == found.label.view == "CHURN_LABEL"
    assert found.views[0].finished == ()
    assert found.views[1].reads == {"orders"}


def test_the_error_for_a_view_that_snowflake_rejects_names_the_view() -> None:
    class Refusing(FakeWarehouse):
        def describe(self, query: str) -> tuple[ColumnType, ...]:
            if "RAW" in query and "average_gap_days" not in query:
                return churn.SOURCE
            raise NotFound("invalid identifier 'X'")

    with pytest.raises(
        NotFound, match=r"view CUSTOMER_ORDERS \(features\.py:customer_orders\): invalid identifier 'X'"
    ):
        observe(Refusing({"ROW_HASH": changing_sources("orders")}), churn.FILE, churn.RUN)


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


def test_a_view_of_a_part_of_the_entity_is_joined_on_its_own_key() -> None:
    pipeline = churn.PIPELINE.model_copy(
        update={
            "entity": {"CUSTOMER_ID": "NUMBER", "MERCHANT_ID": "NUMBER"},
            "features": (
                churn.PIPELINE.features[0],
                churn.PIPELINE.features[1].model_copy(update={"entity": ("MERCHANT_ID",)}),
            ),
        }
    )
    both = columns("CUSTOMER_ID number", "MERCHANT_ID number")
    found = observed(
        (*both, *columns("A number")), columns("MERCHANT_ID number", "B number"), (*both, *columns("CHURNED number"))
    )
    plan = plan_features(pipeline, found)
    assert [view.key for view in plan.views] == [("CUSTOMER_ID", "MERCHANT_ID"), ("MERCHANT_ID",)]
    assert '"CUSTOMER_ID"' not in plan.views[1].create.text
    query = training_query(feature_set(plan, expected_slices(plan, churn.KNOWN_AT)))
    assert 'ON v0."MERCHANT_ID" = v1."MERCHANT_ID" AND v0."AS_OF" = v1."AS_OF"' in query


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
        store.create_view_table("V", {"ID": "NUMBER"}, columns("A number", "B boolean", "C text"), "churn"),
        store.remove_slices((part, part), churn.KNOWN_AT),
        store.write_slices((part, part), ("ID",), ("A",), churn.KNOWN_AT, churn.KNOWN_AT),
        store.count_slices(
            [ViewVersion("V", 1, ("ID",), ("A", "B'")), ViewVersion("W", 2, ("ID",), ("C",))],
            *(churn.KNOWN_AT, part.as_of, part.as_of),
        ),
        store.write_lineage((part,), "r", churn.KNOWN_AT, {("V", part.as_of): Counts(5, 5, {"A": 1})}, churn.KNOWN_AT),
        store.find_slices([ViewVersion("V", 1, ("ID", "PART")), ViewVersion("W", 2, ("ID",))]),
        store.find_slices([ViewVersion("V", 1, ("ID", "PART")), ViewVersion("W", 2, ("ID",))], old_lineage=True),
        store.ADAPT_LINEAGE,
    ]
    for statement in statements:
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


@pytest.mark.parametrize("last", [12, 60, 200])
@pytest.mark.parametrize("exists", [False, True])
def test_a_run_takes_five_statements_a_view_and_one_for_twenty_slices(last: int, exists: bool) -> None:
    times = churn.PIPELINE.label.model_copy(update={"as_of": AsOf.model_validate({"every": "5 days", "last": last})})
    file = replace(churn.FILE, pipeline=churn.PIPELINE.model_copy(update={"label": times}))
    at = (*file.pipeline.training_times(churn.RUN.as_of), churn.RUN.as_of)
    tables = [
        (name, "TABLE", "snowsage: pipeline churn; slices")
        for name in ("CUSTOMER_ORDERS", "CUSTOMER_RHYTHM", "CHURN_LABEL")
        if exists
    ]
    shown = Table(("name", "kind", "comment"), [*tables])
    warehouse = watching(**{COUNTED: counted_slices(at, 9, 9), "SHOW OBJECTS": shown})
    made = run_features(plan_features(file.pipeline, observe(warehouse, file, churn.RUN)), warehouse, churn.RUN)
    slices = [last + 1, last + 1, last]
    assert len(made.slices) == sum(slices)
    # Snowpark's own questions about columns are the adapter's (tests/contract/cloud/test_feature_statements.py).
    sent = len(warehouse.statements) + warehouse.questions
    assert sent <= 5 * len(slices) + sum(math.ceil(each / 20) for each in slices)


def test_slices_that_another_process_removed_are_written_again_without_removing_its_own() -> None:
    times = (*TIMES, churn.RUN.as_of)
    whole, counts = counted_slices(times, 9, 9), list[Table]()

    def answer(statement: Statement) -> Table:
        found = whole(statement)
        gone = [row for row in found.rows if counts or row[:2] != ("CUSTOMER_RHYTHM", times[3])]
        counts.append(Table((), gone))
        return counts[-1]

    warehouse = FakeWarehouse({COUNTED: answer})
    made = run_features(plan_features(churn.PIPELINE, observed()), warehouse, churn.RUN)
    assert len(made.slices) == 38
    assert len(counts) == 2
    begins = [text.split("\n")[0] for text in warehouse.texts]
    assert begins.count('MERGE INTO "FEATURE_STORE"."CUSTOMER_RHYTHM" AS t') == 2
    assert begins.count('MERGE INTO "FEATURE_STORE"."CUSTOMER_ORDERS" AS t') == 1


def test_slices_are_written_in_groups_that_one_statement_takes() -> None:
    def groups(count: int, characters: int) -> list[int]:
        at = datetime(1998, 1, 1)
        parts = tuple(
            SlicePlan("V", 1, at + timedelta(days=day), "q" * characters, "d", "s", "{}") for day in range(count)
        )
        assert [part for group in store.statement_parts(parts) for part in group] == [*parts]
        return [len(group) for group in store.statement_parts(parts)]

    assert groups(61, 2_000) == [32, 29]
    assert groups(1, 2_000) == [1]
    assert groups(5, 250_000) == [2, 2, 1]
    assert groups(2, 900_000) == [1, 1]


def test_a_scalar_is_the_first_value_of_the_first_row() -> None:
    assert Table(("A", "B"), [(1, 2), (3, 4)]).scalar() == 1


def test_a_snapshot_has_one_time_and_all_rows_of_its_source(tmp_path: Path) -> None:
    file = spec.load(snapshot(tmp_path))
    warehouse = FakeWarehouse(
        {"COUNT(*)": [(10, 1)]},
        {"telco": columns("CUSTOMER_ID text", "CHURN number"), "RAW": columns("CUSTOMER_ID text")},
    )
    found = observe(warehouse, file, churn.RUN)
    assert [part.as_of for part in (*found.views[0].slices, *found.label.slices)] == [churn.RUN.as_of] * 2
    assert found.label.slices[0].query.startswith('WITH telco AS (SELECT * FROM "RAW"."TELCO")')
