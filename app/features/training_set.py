"""Joins slices into rows for training and for scoring. Each slice is correct at its point in time, and so are the rows.

The first view defines the entities. The others are joined to it; features of entities that they lack are NULL. Numbers
are cast to FLOAT and booleans to 0 and 1, as XGBoost and Parquet need. Texts stay texts; the entry code encodes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.features import store
from app.features.store import Slice
from app.sql import columns, identifier, timestamp
from sagemaker_entry.contract import Contract


@dataclass(frozen=True)
class FeatureSet:
    """The result of the features stage: the contract, and the slices that hold its rows.

    ``view_columns``: each view's features, in the file's order. ``booleans``: features, or the label, of type BOOLEAN.
    ``repaired``: slices that were written again because the store held other rows than had been written.
    """

    contract: dict[str, object]
    view_columns: dict[str, tuple[str, ...]]
    booleans: tuple[str, ...]
    label_view: str
    slices: tuple[Slice, ...]
    training_as_of: tuple[datetime, ...]
    scoring_as_of: datetime
    repaired: int = 0

    def made_contract(self) -> Contract:
        """The contract as its own type."""
        return Contract.from_dict(self.contract)


def training_query(features: FeatureSet) -> str:
    """key, AS_OF, label, features: every entity at every training time that has a label."""
    contract = features.made_contract()
    label = _slices_query(features, features.label_view, features.training_as_of)
    return (
        f"SELECT {_row_columns(contract)}, {_number(features, 'l', contract.label)},\n"
        f"  {_feature_columns(features)}\n"
        f"FROM {_views_joined(features, features.training_as_of)}\n"
        f"JOIN ({label}) AS l ON {_same_row(contract, 'l')}"
    )


def scoring_query(features: FeatureSet) -> str:
    """key, AS_OF, features: every entity at the run's logical date."""
    contract = features.made_contract()
    return (
        f"SELECT {_row_columns(contract)},\n  {_feature_columns(features)}\n"
        f"FROM {_views_joined(features, (features.scoring_as_of,))}"
    )


def _row_columns(contract: Contract) -> str:
    return ", ".join(f"v0.{identifier(name)} AS {identifier(name)}" for name in (*contract.key, store.AS_OF))


def _feature_columns(features: FeatureSet) -> str:
    alias = {name: f"v{index}" for index, names in enumerate(features.view_columns.values()) for name in names}
    return ", ".join(
        f"CAST({alias[column.name]}.{identifier(column.name)} AS VARCHAR) AS {identifier(column.name)}"
        if column.dtype == "category"
        else _number(features, alias[column.name], column.name)
        for column in features.made_contract().columns
    )


def _number(features: FeatureSet, alias: str, name: str) -> str:
    """A column as FLOAT. Snowflake has no cast from BOOLEAN to FLOAT, so a boolean is cast to INTEGER first."""
    source = f"{alias}.{identifier(name)}"
    return (
        f"CAST({f'CAST({source} AS INTEGER)' if name in features.booleans else source} AS FLOAT) AS {identifier(name)}"
    )


def _views_joined(features: FeatureSet, times: Iterable[datetime]) -> str:
    contract, times = features.made_contract(), tuple(times)
    joined = []
    for index, view in enumerate(features.view_columns):
        rows = f"({_slices_query(features, view, times)}) AS v{index}"
        joined.append(rows if index == 0 else f"LEFT JOIN {rows} ON {_same_row(contract, f'v{index}')}")
    return "\n".join(joined)


def _same_row(contract: Contract, alias: str) -> str:
    return " AND ".join(f"v0.{identifier(name)} = {alias}.{identifier(name)}" for name in (*contract.key, store.AS_OF))


def _slices_query(features: FeatureSet, view: str, times: Iterable[datetime]) -> str:
    contract = features.made_contract()
    names = (contract.label,) if view == features.label_view else features.view_columns[view]
    wanted = set(times)
    chosen = [part for part in features.slices if part.view == view and part.as_of in wanted]
    conditions = " OR ".join(
        f"({store.AS_OF} = {timestamp(part.as_of)} AND {store.VERSION} = {part.version} "
        f"AND {store.KNOWN_AT} = {timestamp(part.known_at)})"
        for part in chosen
    )
    return (
        f"SELECT {columns([*contract.key, store.AS_OF, *names])} FROM {store.view_table(view).sql} WHERE {conditions}"
    )
