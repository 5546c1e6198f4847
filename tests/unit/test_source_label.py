"""A label that is a column of a source: its query, and what is refused with what to write."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest

from app import spec
from app.errors import CallerError
from app.features.definitions.source_label import check_label, check_values, find_values, label_query, load_label
from app.ports import ColumnType
from app.runs.identity import Run
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit.snapshot import snapshot

RUN = Run("telco", "20240701-0a1b2c3d", date(2024, 7, 1), datetime(2024, 7, 1, 6))
FIRST = datetime(2024, 1, 1)
KEY, TEXT = ColumnType("CUSTOMER_ID", "text"), ColumnType("CHURN", "text")


def labelled(folder: Path, label: str = 'source: telco, column: CHURN, positive: "Yes"') -> spec.PipelineFile:
    return spec.load(snapshot(folder, "label: {define: label.sql, column: CHURN}", f"label: {{{label}}}"))


def refusal(file: spec.PipelineFile, *columns: ColumnType, values: list[str] | None = None) -> str:
    with pytest.raises(CallerError) as caught:  # noqa: PT012  # the first that refuses
        check_label(file, columns)
        check_values(file, values or [])
    return str(caught.value).partition("pipeline.yaml:")[2]


def test_the_label_of_a_source_is_its_key_and_column_where_both_are_known(tmp_path: Path) -> None:
    query = label_query(labelled(tmp_path, "source: telco, column: CHURN").pipeline, FIRST)
    assert query == 'SELECT "CUSTOMER_ID", "CHURN" FROM telco WHERE "CUSTOMER_ID" IS NOT NULL AND "CHURN" IS NOT NULL'


def test_a_positive_value_is_one_and_every_other_is_zero(tmp_path: Path) -> None:
    pipeline = labelled(tmp_path, """source: telco, column: '"Churn"', positive: "it's" """).pipeline
    assert "IFF(\"Churn\" = 'it''s', 1, 0) AS \"Churn\" FROM telco" in label_query(pipeline, FIRST)
    read(find_values(pipeline, RUN).text)
    assert find_values(pipeline, RUN).binds == ("it's",)


def test_a_label_of_a_source_costs_a_description_and_of_a_text_one_statement(tmp_path: Path) -> None:
    for column, statements in ((TEXT, 1), (ColumnType("CHURN", "boolean"), 0)):
        warehouse = FakeWarehouse({"LABEL_VALUE": [("Yes",), ("No",)]}, {"TELCO": (KEY, column)})
        positive = ', positive: "Yes"' if column is TEXT else ""
        view = load_label(warehouse, labelled(tmp_path, f"source: telco, column: CHURN{positive}"), RUN, {})
        assert (len(warehouse.described), len(warehouse.statements)) == (1, statements)
        query = view.query(warehouse, {"telco": spec.load(tmp_path).pipeline.sources["telco"]}, RUN.as_of, RUN.as_of)
        assert query.startswith('WITH telco AS (SELECT * FROM "RAW"."TELCO")\nSELECT * FROM (\nSELECT "CUSTOMER_ID", ')


def test_a_column_that_cannot_be_the_label_is_refused_with_what_to_write(tmp_path: Path) -> None:
    file = labelled(tmp_path)
    mixed = replace(TEXT, name="Churn")
    for columns, said in (
        ([KEY], "5: label.column: RAW.TELCO has no column CHURN; its columns are CUSTOMER_ID"),
        ([KEY, mixed], "5: label.column: RAW.TELCO has no column CHURN; did you mean '\"Churn\"'?"),
        ([TEXT], "5: label.source: RAW.TELCO has no column CUSTOMER_ID; its columns are CHURN. The label's source needs the"),
        ([KEY, ColumnType("CHURN", "time")], "5: label.column: CHURN of RAW.TELCO must be a number, a boolean or a text"),
        ([KEY, ColumnType("CHURN", "boolean")], "5: label.positive: is for a text, and CHURN of RAW.TELCO is a boolean; leave "),
        ([KEY, ColumnType("CHURN", "number")], "5: label.positive: is for a text, and CHURN of RAW.TELCO is a number; leave "),
    ):  # fmt: skip
        assert refusal(file, *columns).startswith(said)


def test_a_text_label_needs_the_value_that_is_one(tmp_path: Path) -> None:
    known = refusal(labelled(tmp_path), KEY, TEXT, values=["No", "Maybe"])
    assert known == "5: label.positive: no row has 'Yes': CHURN of RAW.TELCO has the values 'No', 'Maybe'"
    file = labelled(tmp_path, "source: telco, column: CHURN")
    assert refusal(file, KEY, TEXT, values=["No", "Yes"]) == (
        "5: label.column: CHURN of RAW.TELCO is a text with the values 'No', 'Yes'; write which of them is 1, for example "
        "`positive: \"Yes\"`, or a definition, `define: label.sql`, with `IFF(CHURN = 'Yes', 1, 0) AS CHURN`"
    )
    many = refusal(file, KEY, TEXT, values=[f"person {number}" for number in range(6)])
    assert "is a text with more than 5 values" in many
    assert "person" not in many
    regression = spec.load(
        snapshot(
            tmp_path,
            "label: {define: label.sql, column: CHURN}\ntraining: {",
            'label: {source: telco, column: CHURN}\ntraining: {hyperparameters: {objective: "reg:squarederror"}, '
            "gate: {metric: rmse}, ",
        )
    )
    assert "with `TRY_TO_DOUBLE(CHURN) AS CHURN`" in refusal(regression, KEY, TEXT, values=["1.5"])
