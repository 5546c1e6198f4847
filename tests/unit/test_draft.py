"""``snowsage init``: the pipeline folder that is drafted for a table. What it cannot draft is refused with what to write."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from app import spec
from app.errors import CallerError
from app.ports import ColumnType
from app.spec.definitions import check_definitions
from app.spec.draft import Draft, Request, check_name, plan_draft
from app.spec.profile import ColumnProfile, TableProfile, count_entities, read_profile
from app.sql import Name
from tests.support.fakes import FakeWarehouse

TODAY = date(2025, 1, 1)
ROWS = 1000


def column(name: str, kind: str = "number", distinct: int = 900, **more: Any) -> ColumnProfile:
    return ColumnProfile(name, kind, **{"filled": ROWS, "distinct": distinct, **more})


def text(name: str, *values: str, **more: Any) -> ColumnProfile:
    counts = tuple((value, 10 + at) for at, value in enumerate(sorted(values)))
    return column(name, "text", len(values), values=counts, **more)


ID = column("CUSTOMER_ID", distinct=ROWS)
LABEL = column("CHURNED", distinct=2, least=0, greatest=1, values=(("0", 700), ("1", 300)))
TIME = column("SEEN", "time", 300, least=datetime(2024, 1, 1), greatest=datetime(2024, 12, 30))
SPEND = column("SPEND")


def drafted(*columns: ColumnProfile, entities: int | None = None, **request: Any) -> Draft:
    wanted = Request(**{"name": "churn", "table": Name.parse("RAW.CUSTOMERS"), "label": "churned", **request})
    return plan_draft(wanted, TableProfile(wanted.table, ROWS, columns), TODAY, entities)


def loaded(draft: Draft, folder: Path) -> spec.PipelineFile:
    """The drafted folder, which must be valid, with SQL that parses."""
    for name, content in draft.files.items():
        (folder / name).write_text(content)
    file = spec.load(folder)
    assert check_definitions(file) == []
    for name in (name for name in draft.files if name.endswith(".sql")):
        statement = sqlglot.parse_one(
            draft.files[name].replace(":as_of", "'2024-01-01'::TIMESTAMP_NTZ"), read="snowflake"
        )
        assert statement.key == "select"
    return file


def refusal(*columns: ColumnProfile, **request: Any) -> str:
    with pytest.raises(CallerError) as caught:
        drafted(*columns, **request)
    return str(caught.value)


def test_a_table_without_time_is_split_by_entity(tmp_path: Path) -> None:
    pipeline = loaded(drafted(ID, LABEL, SPEND), tmp_path).pipeline
    assert pipeline.is_snapshot
    assert (pipeline.entity, pipeline.serving.key) == ({"CUSTOMER_ID": "NUMBER"}, "CUSTOMER_ID")
    assert pipeline.sources["customers"].event_time is None
    assert pipeline.training.objective == "binary:logistic"
    assert (pipeline.features[0].view, pipeline.batch.table) == ("CHURN_CUSTOMERS", "ANALYTICS.CHURN_SCORES")
    assert (pipeline.training.split.by, pipeline.label.source, pipeline.label.define) == ("hash", "customers", None)


@pytest.mark.parametrize(
    ("label", "positive"),
    [
        (LABEL, None),
        (column("CHURNED", "boolean", 2), None),
        (column("CHURNED", distinct=500), None),
        (text("CHURNED", "No", "Yes"), "Yes"),
        (text("CHURNED", "on", 'a"b'), 'a"b'),
    ],
)
def test_the_label_of_a_table_without_time_is_its_column(
    label: ColumnProfile, positive: str | None, tmp_path: Path
) -> None:
    draft = drafted(ID, label, SPEND)
    found = loaded(draft, tmp_path).pipeline.label
    assert [*draft.files] == ["pipeline.yaml", "features.sql"]
    assert (found.source, found.column, found.positive) == ("customers", "CHURNED", positive)


@pytest.mark.parametrize(
    ("key", "label"),
    [
        (ID, column("CHURNED", distinct=2, least=1, greatest=2)),
        (ID, column("CHURNED", "text", 400, numeric=ROWS)),
        (ID, text("Churned", "No", "Yes")),
        (column("customerID", distinct=ROWS), LABEL),
    ],
)
def test_a_label_that_is_computed_or_next_to_a_renamed_key_has_a_definition(
    key: ColumnProfile, label: ColumnProfile, tmp_path: Path
) -> None:
    draft = drafted(key, label, SPEND)
    assert loaded(draft, tmp_path).pipeline.label.define == "label.sql"


def test_events_take_the_interval_before_each_as_of_time(tmp_path: Path) -> None:
    draft = drafted(ID, LABEL, SPEND, TIME, time="seen")
    pipeline = loaded(draft, tmp_path).pipeline
    assert pipeline.label.as_of is not None
    assert (pipeline.logical_date, pipeline.label.as_of.every.days, pipeline.label.as_of.last) == (None, 26, 12)
    assert "WHERE seen >= DATEADD('day', -26, :as_of)\n" in draft.files["features.sql"]
    assert "DAYOFWEEK(seen) AS seen_weekday" in draft.files["features.sql"]
    assert "seen < :as_of AND churned IS NOT NULL" in draft.files["label.sql"]


def test_a_history_takes_the_last_row_before_and_the_label_of_the_first_row_after(tmp_path: Path) -> None:
    draft = drafted(column("CUSTOMER_ID", distinct=100), LABEL, SPEND, TIME, time="SEEN")
    loaded(draft, tmp_path)
    assert "PARTITION BY customer_id ORDER BY seen DESC) = 1" in draft.files["features.sql"]
    assert "WHERE seen >= :as_of AND churned IS NOT NULL\nQUALIFY" in draft.files["label.sql"]
    assert "churned" not in draft.files["features.sql"].partition("SELECT")[2], "a label as a feature knows the future"


def test_an_old_table_gets_a_logical_date_and_a_short_one_hours(tmp_path: Path) -> None:
    short = column("SEEN", "time", 300, least=datetime(2023, 1, 1), greatest=datetime(2023, 1, 4))
    pipeline = loaded(drafted(ID, LABEL, SPEND, short, time="SEEN"), tmp_path).pipeline
    assert pipeline.logical_date == date(2023, 1, 5)
    assert pipeline.label.as_of is not None
    assert pipeline.label.as_of.every.total_seconds() == 5 * 3600
    assert "HOUR" not in drafted(ID, LABEL, SPEND, TIME, time="SEEN").files["features.sql"]


def test_columns_become_features_by_what_they_hold(tmp_path: Path) -> None:
    draft = drafted(
        ID, LABEL, SPEND,
        text("Contract Type", "Month, to month", "No", "it's"),
        column("TotalCharges", "text", 950, numeric=990, blank=10),
        column("NOTE", "text", 900),
        column("JOINED", "time", 300, least=datetime(2020, 1, 1), greatest=datetime(2024, 1, 1)),
        column("EMPTY", distinct=0, filled=0), column("SAME", distinct=1), ColumnProfile("PAYLOAD", "other"),
        column("VIP", "boolean", 2), column("ORDER"), column("CREATED_AT", "time", 9, least=datetime(2020, 1, 1)),
        column("1ST"), column("SPEND "),
    )  # fmt: skip
    view = loaded(draft, tmp_path).pipeline.features[0]
    assert view.categories == {}
    assert "categories: auto" in draft.files["pipeline.yaml"]
    assert "categories" not in drafted(ID, LABEL, SPEND).files["pipeline.yaml"]
    sql = draft.files["features.sql"]
    for line in (
        '"Contract Type" AS contract_type', 'TRY_TO_DOUBLE(TRIM("TotalCharges")) AS total_charges', "vip", "spend,",
        "DATEDIFF('day', joined, :as_of) AS days_since_joined", '"ORDER"', "AS days_since_created_at", '"1ST" AS c_1st',
        '"SPEND " AS spend_2',
    ):  # fmt: skip
        assert line in sql
    for name in (
        "NOTE: a text with 900 distinct values",
        "EMPTY: NULL in every row",
        "SAME: the same",
        "PAYLOAD: neither",
    ):
        assert f"-- Left out: {name}" in sql


@pytest.mark.parametrize(
    ("label", "sql", "objective"),
    [
        (LABEL, "    churned\n", "binary:logistic"),
        (column("CHURNED", "boolean", 2), "IFF(churned, 1, 0) AS churned", "binary:logistic"),
        (column("CHURNED", distinct=2, least=1, greatest=2), "IFF(churned = 2, 1, 0)", "binary:logistic"),
        (text("CHURNED", "No", "Yes"), "IFF(churned = 'Yes', 1, 0)", "binary:logistic"),
        (text("CHURNED", "a'b", "c"), "IFF(churned = 'a''b', 1, 0)", "binary:logistic"),
        (column("CHURNED", distinct=500), "    churned\n", "reg:squarederror"),
        (column("CHURNED", "text", 400, numeric=ROWS), "TRY_TO_DOUBLE(TRIM(churned)) AS churned", "reg:squarederror"),
    ],
)
def test_the_objective_follows_from_the_label(label: ColumnProfile, sql: str, objective: str, tmp_path: Path) -> None:
    assert loaded(drafted(ID, label, SPEND), tmp_path).pipeline.training.objective == objective
    assert sql in drafted(ID, label, SPEND, TIME, time="SEEN").files["label.sql"]


def test_the_labels_of_a_text_are_the_labels_of_the_scores(tmp_path: Path) -> None:
    assert loaded(drafted(ID, text("CHURNED", "No", "Yes"), SPEND), tmp_path).pipeline.batch.labels == ("No", "Yes")


def test_rows_without_label_or_key_are_excluded_and_counted() -> None:
    draft = drafted(ID, column("CHURNED", distinct=2, least=0, greatest=1, filled=900), SPEND)
    assert "label.sql" not in draft.files, "a label that is a column is left out where it is NULL"
    assert "100 rows have no label; they are scored, but not trained on" in draft.notes
    guests = drafted(column("CUSTOMER_ID", distinct=900, filled=900), LABEL, SPEND, key=("customer_id",))
    assert "WHERE customer_id IS NOT NULL" in guests.files["features.sql"]


def test_several_keys_make_one_entity(tmp_path: Path) -> None:
    shop = text("SHOP", "a", "b")
    draft = drafted(column("CUSTOMER_ID", distinct=500), shop, LABEL, SPEND, key=("SHOP", "CUSTOMER_ID"), entities=ROWS)
    pipeline = loaded(draft, tmp_path).pipeline
    assert pipeline.entity == {"SHOP": "VARCHAR", "CUSTOMER_ID": "NUMBER"}
    assert pipeline.serving.key is None


@pytest.mark.parametrize(
    ("columns", "request_", "said"),
    [
        ((ID, LABEL, SPEND), {"label": "churnd"}, "--label: RAW.CUSTOMERS has no column churnd; did you mean CHURNED?"),
        ((ID, LABEL, SPEND), {"label": "x"}, "--label: RAW.CUSTOMERS has no column x; its columns are CUSTOMER_ID, CHURNED"),
        ((ID, LABEL, SPEND), {"key": ("custmer_id",)}, "--key: RAW.CUSTOMERS has no column custmer_id; did you mean CUSTOMER_ID?"),
        ((ID, LABEL, SPEND), {"time": "SPEND"}, "--time: SPEND is not a DATE or TIMESTAMP"),
        ((LABEL, SPEND), {}, "no column identifies a row of RAW.CUSTOMERS; name the column, or several, by --key"),
        ((column("CUSTOMER_ID", distinct=90), LABEL, SPEND), {"key": ("CUSTOMER_ID",)}, "has 90 values in 1,000 rows"),
        ((ID, LABEL, TIME), {"key": ("SEEN",)}, "--key: SEEN is neither a number nor a text"),
        ((ID, text("CHURNED", "a", "b", "c"), SPEND), {}, "a text with 3 distinct values; a label is a number, or has two"),
        ((ID, column("CHURNED", distinct=1), SPEND), {}, "--label: CHURNED has 1 distinct values"),
        ((ID, ColumnProfile("CHURNED", "other"), SPEND), {}, "--label: CHURNED is neither"),
        ((ID, LABEL), {}, "has no column that can be a feature"),
        (
            (ID, LABEL, SPEND, column("SEEN", "time", least=datetime(2024, 1, 1), greatest=datetime(2024, 1, 1, 3))),
            {"time": "SEEN"}, "span 3:00:00, too little to split them by time",
        ),
        ((ID, LABEL, SPEND, column("SEEN", "time", 0, filled=0)), {"time": "SEEN"}, "--time: SEEN is NULL in every row"),
    ],
)  # fmt: skip
def test_what_cannot_be_drafted_is_refused(
    columns: tuple[ColumnProfile, ...], request_: dict[str, Any], said: str
) -> None:
    assert said in refusal(*columns, **request_)


def test_a_tiny_table_is_refused() -> None:
    with pytest.raises(CallerError, match=r"RAW\.T has 49 rows; a model needs at least 50"):
        plan_draft(Request("a", Name.parse("RAW.T"), "L"), TableProfile(Name.parse("RAW.T"), 49, (ID,)), TODAY)


@pytest.mark.parametrize("name", ["Churn", "1st", "a_b", "a" * 26, "", "churn-", "ä"])
def test_a_name_that_a_pipeline_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(CallerError, match="is not a pipeline's name"):
        check_name(name)


NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=12)


@given(
    st.lists(NAMES, min_size=3, max_size=6, unique=True), NAMES, st.lists(NAMES, min_size=2, max_size=3, unique=True)
)
def test_any_names_and_values_give_a_valid_pipeline(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], table: str, values: list[str]
) -> None:
    key, label, *rest = names
    columns = [
        column(key, distinct=ROWS), column(label, distinct=2, least=0, greatest=1),
        *(text(name, *values) for name in rest),
    ]  # fmt: skip
    wanted = Request("churn", Name.of("RAW", table), label, (key,))
    found = TableProfile(wanted.table, ROWS, tuple(columns))
    if found.find(label) is not columns[1] or found.find(key) is not columns[0]:
        return  # the names differ only in case, and the first one wins
    file = loaded(plan_draft(wanted, found, TODAY), tmp_path_factory.mktemp("drafts"))
    [view] = file.pipeline.features
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in file.pipeline.key)
    assert view.categories == {}


def test_a_profile_is_read_by_one_description_and_two_queries() -> None:
    described = [
        ColumnType("ID", "number"), ColumnType("PLAN", "text"), ColumnType("SEEN", "time"), ColumnType("DOC", "other"),
        ColumnType("AT", "time"),
    ]  # fmt: skip
    midnight = datetime(2024, 1, 1).time()
    counts = [
        *(5, *(5, 5, 0, 0, 1, 9), *(4, 2, 0, 1, None, None)),
        *(5, 5, 0, 0, date(2024, 1, 1), datetime(2024, 1, 2), *(5, 5, 0, 0, midnight, midnight)),
    ]
    warehouse = FakeWarehouse(
        {
            "COUNT(DISTINCT": [tuple(counts)],
            "GROUP BY": [("PLAN", "b", 1), ("PLAN", "a", 3)],
            "SELECT DISTINCT": [(4,)],
        },
        {"RAW": described},
    )
    profile = read_profile(warehouse, Name.parse("RAW.T"))
    assert (len(warehouse.described), len(warehouse.statements)) == (1, 2)
    assert [item.kind for item in profile.columns] == ["number", "text", "time", "other", "other"]
    assert profile.columns[1] == ColumnProfile("PLAN", "text", 4, 2, 0, 1, values=(("a", 3), ("b", 1)))
    assert profile.columns[2].least == datetime(2024, 1, 1)
    assert count_entities(warehouse, Name.parse("RAW.T"), ("A", "B")) == 4
