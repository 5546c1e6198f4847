"""The feature contract: round trip, the fingerprint follows what a prediction depends on, tampering is detected."""

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
        Column(name, "category", draw(CATEGORIES)) if draw(st.booleans()) else Column(name) for name in names[3:]
    ]
    return Contract(tuple(columns), key=(names[0],), label=names[1], as_of=names[2])


BASE = Contract(
    (Column("A"), Column("B"), Column("C", "category", ("x", "y"))), key=("ID",), label="L"
)  # fmt: skip


@given(contracts())
def test_a_contract_comes_back_through_json(contract: Contract) -> None:
    back = Contract.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert back == contract
    assert back.fingerprint == contract.fingerprint


@given(contracts(), st.randoms())
def test_every_order_of_the_columns_has_its_own_fingerprint(contract: Contract, random: object) -> None:
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
    ],
)
def test_what_a_prediction_depends_on_changes_the_fingerprint(columns: tuple[Column, ...]) -> None:
    assert replace(BASE, columns=columns).fingerprint != BASE.fingerprint


def test_key_label_and_time_do_not_change_the_fingerprint() -> None:
    assert Contract(BASE.columns, key=("OTHER", "KEY"), label="OTHER_LABEL", as_of="T").fingerprint == BASE.fingerprint


def test_the_fingerprint_is_the_same_in_every_version_of_snowsage() -> None:
    assert BASE.fingerprint == "d0113cc45c524677"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fingerprint", "0" * 16),
        ("nulls", "zero"),
        ("columns", [{"name": "A", "dtype": "float", "categories": []}]),
        ("columns", [{"name": "C", "dtype": "category", "categories": ["y", "x"]}]),
    ],
)
def test_a_tampered_contract_is_refused(key: str, value: object) -> None:
    with pytest.raises(ContractViolation, match="it was changed"):
        Contract.from_dict({**BASE.to_dict(), key: value})


@pytest.mark.parametrize("body", [{}, {"columns": None}, {**BASE.to_dict(), "columns": [{"name": "A"}]}, []])
def test_what_is_no_contract_is_refused(body: object) -> None:
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
def test_names_must_differ(columns: tuple[Column, ...], key: tuple[str, ...], label: str, said: str) -> None:
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
def test_categories_belong_to_category_columns(dtype: str, categories: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContractViolation, match=f"column C: .*{said}"):
        Column("C", dtype, categories)  # type: ignore[arg-type]


@given(contracts(), st.randoms())
def test_positions_put_given_columns_into_the_contracts_order(contract: Contract, random: object) -> None:
    given_names = list(contract.names)
    random.shuffle(given_names)  # type: ignore[attr-defined]
    assert [given_names[at] for at in contract.positions(given_names)] == list(contract.names)


def test_positions_name_everything_that_is_wrong() -> None:
    with pytest.raises(ContractViolation) as caught:
        BASE.positions(["A", "A", "C", "Z", "Y"])
    assert str(caught.value).endswith("; missing: B; unknown: Y, Z; given twice: A")
    assert BASE.fingerprint in str(caught.value)


def test_positions_compare_names_as_they_are() -> None:
    with pytest.raises(ContractViolation, match="missing: A; unknown: a"):
        BASE.positions(["a", "B", "C"])
