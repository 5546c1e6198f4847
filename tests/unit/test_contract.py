"""The feature contract: round trip through JSON, a fingerprint of all that a prediction depends on, and detection of changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_entry.contract import Column, Contract, ContractViolation

NAMES = st.text(min_size=1, max_size=12)
CATEGORIES = st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(NAMES, min_size=4, max_size=8, unique=True))
    columns = [
        Column(name, "category", draw(CATEGORIES), draw(st.sampled_from(["null", "error"])))
        if draw(st.booleans())
        else Column(name)
        for name in names[3:]
    ]
    return Contract(tuple(columns), key=(names[0],), label=names[1], as_of=names[2])


BASE = Contract(
    (Column("A"), Column("B"), Column("C", "category", ("x", "y"))), key=("ID",), label="L"
)  # fmt: skip


@given(contracts())
def test_a_contract_is_unchanged_by_a_round_trip_through_json(contract: Contract) -> None:
    back = Contract.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert back == contract
    assert back.fingerprint == contract.fingerprint


@given(contracts(), st.randoms())
def test_each_order_of_the_columns_has_a_different_fingerprint(contract: Contract, random: object) -> None:
    shuffled = list(contract.columns)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = replace(contract, columns=tuple(shuffled))
    assert (other.fingerprint == contract.fingerprint) == (other.columns == contract.columns)


@pytest.mark.parametrize(
    "columns",
    [
        (Column("B"), Column("A"), Column("C", "category", ("x", "y"))),
        (Column("A"), Column("B"), Column("C")),
        (Column("A"), Column("B"), Column("C", "category", ("y", "x"))),
        (Column("A"), Column("B"), Column("C", "category", ("x", "y", "z"))),
        (Column("A"), Column("B"), Column("D", "category", ("x", "y"))),
        (Column("A"), Column("B")),
        (Column("A"), Column("B"), Column("C", "category", ("x", "y"), "null")),
    ],
)
def test_changes_that_affect_a_prediction_change_the_fingerprint(columns: tuple[Column, ...]) -> None:
    assert replace(BASE, columns=columns).fingerprint != BASE.fingerprint


def test_key_label_and_time_do_not_change_the_fingerprint() -> None:
    assert Contract(BASE.columns, key=("OTHER", "KEY"), label="OTHER_LABEL", as_of="T").fingerprint == BASE.fingerprint


def test_the_fingerprint_is_stable_across_versions_of_snowsage() -> None:
    assert BASE.fingerprint == "d0113cc45c524677"


def test_a_contract_without_a_rule_for_unknown_categories_takes_none() -> None:
    body = BASE.to_dict()
    assert all("unknown" not in column for column in body["columns"])
    assert {column.unknown for column in Contract.from_dict(body).columns} == {"error"}
    lenient = replace(BASE, columns=(*BASE.columns[:2], replace(BASE.columns[2], unknown="null"))).to_dict()
    assert [column.get("unknown") for column in lenient["columns"]] == [None, None, "null"]
    with pytest.raises(ContractViolation, match="an unknown rule"):
        Contract.from_dict({**lenient, "columns": [{**lenient["columns"][2], "unknown": "skip"}]})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fingerprint", "0" * 16),
        ("nulls", "zero"),
        ("columns", [{"name": "A", "dtype": "float", "categories": []}]),
        ("columns", [{"name": "C", "dtype": "category", "categories": ["y", "x"]}]),
    ],
)
def test_a_tampered_contract_is_rejected(key: str, value: object) -> None:
    with pytest.raises(ContractViolation, match="it was changed"):
        Contract.from_dict({**BASE.to_dict(), key: value})


@pytest.mark.parametrize("body", [{}, {"columns": None}, {**BASE.to_dict(), "columns": [{"name": "A"}]}, []])
def test_invalid_contracts_are_rejected(body: object) -> None:
    with pytest.raises(ContractViolation, match="this is not a feature contract"):
        Contract.from_dict(body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "key", "label", "said"),
    [
        ((), ("ID",), "L", "at least one feature column"),
        ((Column("A"), Column("A")), ("ID",), "L", "column names must differ: A"),
        ((Column("ID"),), ("ID",), "L", "column names must differ: ID"),
        ((Column("L"),), ("ID",), "L", "column names must differ: L"),
        ((Column("AS_OF"),), ("ID",), "L", "column names must differ: AS_OF"),
    ],
)
def test_duplicate_names_are_rejected(columns: tuple[Column, ...], key: tuple[str, ...], label: str, said: str) -> None:
    with pytest.raises(ContractViolation, match=said):
        Contract(columns, key, label)


@pytest.mark.parametrize(
    ("dtype", "categories", "said"),
    [
        ("category", (), "declares its categories"),
        ("float", ("a",), "declares its categories"),
        ("category", ("a", "a"), "a category is declared twice"),
    ],
)
def test_only_category_columns_have_categories(dtype: str, categories: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContractViolation, match=f"column C: .*{said}"):
        Column("C", dtype, categories)  # type: ignore[arg-type]


@given(contracts(), st.randoms())
def test_positions_map_given_columns_to_the_contracts_order(contract: Contract, random: object) -> None:
    given_names = list(contract.names)
    random.shuffle(given_names)  # type: ignore[attr-defined]
    assert [given_names[at] for at in contract.positions(given_names)] == list(contract.names)


def test_positions_report_every_wrong_column() -> None:
    with pytest.raises(ContractViolation) as caught:
        BASE.positions(["A", "A", "C", "Z", "Y"])
    assert str(caught.value).endswith("; missing: B; unknown: Y, Z; given twice: A")
    assert BASE.fingerprint in str(caught.value)


def test_positions_compare_names_exactly() -> None:
    with pytest.raises(ContractViolation, match="missing: A; unknown: a"):
        BASE.positions(["a", "B", "C"])
