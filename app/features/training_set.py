"""Joins slices into rows for training and for scoring. Each slice is correct at its point in time, and so are the rows.

Rows of training are those of the first view at every as-of time, or those of a *spine*: a table of entities, times and labels,
each of whose rows gets the slices that answer at its own time (see ``timeline``). Views are joined by equality; features of
entities that they lack are NULL. Numbers are cast to FLOAT and booleans to 0 and 1, as XGBoost and Parquet need. Texts stay
texts; the entry code encodes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.features import store
from app.features.store import Slice
from app.features.timeline import Validity, timeline, with_availability
from app.sql import columns, identifier, literal, timestamp
from sagemaker_entry.contract import Contract


@dataclass(frozen=True)
class Spine:
    """The label's slice holds rows with times of their own, each of which gets the slices that answer at its time.

    ``ttl_s``: by view, how long a slice answers after its as-of time; absent: without end. ``delay_s``: by view, how long after
    its as-of time production would have had a slice that was computed later. ``as_available``: a row gets only what was available
    at its time.
    """

    ttl_s: dict[str, float] = field(default_factory=dict)
    delay_s: dict[str, float] = field(default_factory=dict)
    as_available: bool = False

    def timeline_of(self, view: str, slices: Iterable[Slice]) -> tuple[Validity, ...]:
        """Which of a view's slices answers at which time."""
        ttl = timedelta(seconds=self.ttl_s[view]) if view in self.ttl_s else None
        if not self.as_available:
            return timeline(slices, ttl)
        delay = timedelta(seconds=self.delay_s.get(view, 0))
        return timeline(with_availability(slices, delay), ttl, as_available=True)


@dataclass(frozen=True)
class FeatureSet:
    """The result of the features stage: the contract, and the slices that hold its rows.

    ``view_columns``: each view's features, in the file's order. ``view_keys``: the columns that identify a row of each view;
    absent: all of the contract's key. ``booleans``: features, or the label, of type BOOLEAN. ``repaired``: slices that were written
    again because the store held other rows than had been written.

    ``spine``: how the rows of a spine get their slices; None: training rows are those of the first view. ``history``: further
    slices that such rows may get.
    """

    contract: dict[str, object]
    view_columns: dict[str, tuple[str, ...]]
    booleans: tuple[str, ...]
    label_view: str
    slices: tuple[Slice, ...]
    training_as_of: tuple[datetime, ...]
    scoring_as_of: datetime
    repaired: int = 0
    view_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spine: Spine | None = None
    history: tuple[Slice, ...] = ()

    def made_contract(self) -> Contract:
        """The contract as its own type."""
        return Contract.from_dict(self.contract)

    def key_of(self, view: str) -> tuple[str, ...]:
        """The columns that identify a row of a slice of ``view``."""
        return self.view_keys.get(view, self.made_contract().key)

    def slices_of(self, view: str, history: tuple[Slice, ...] = ()) -> tuple[Slice, ...]:
        """The slices of one view, and those of ``history``."""
        return tuple(part for part in (*self.slices, *history) if part.view == view)


def training_query(features: FeatureSet) -> str:
    """key, AS_OF, label, features: every entity at every training time that has a label, or every row of the spine."""
    if features.spine is not None:
        return _spine_query(features, features.spine)
    contract = features.made_contract()
    label = _slices_query(features, features.label_view, contract.key, features.training_as_of)
    return (
        f"SELECT {_row_columns(contract)}, {_number(features, 'l', contract.label)},\n"
        f"  {_feature_columns(features)}\n"
        f"FROM {_views_joined(features, features.training_as_of)}\n"
        f"JOIN ({label}) AS l ON {_same('v0', 'l', (*contract.key, store.AS_OF))}"
    )


def scoring_query(features: FeatureSet) -> str:
    """key, AS_OF, features: every entity at the run's logical date."""
    contract = features.made_contract()
    return (
        f"SELECT {_row_columns(contract)},\n  {_feature_columns(features)}\n"
        f"FROM {_views_joined(features, (features.scoring_as_of,))}"
    )


def point_in_time_joins(
    views: Mapping[str, tuple[tuple[str, ...], tuple[Validity, ...]]], spine: str
) -> tuple[list[str], list[str]]:
    """The expressions and the joins that give each row of ``spine`` its row of each view, as ``v0``, ``v1`` and so on.

    ``views``: the key and the timeline of each. ``spine``: an expression, or table, with the keys and AS_OF, the time of the row.
    First the slice of each distinct time is found, by one row of the timeline, then its rows are joined by equality.
    """
    expressions = [f"times AS (SELECT DISTINCT {store.AS_OF} FROM {spine})"]
    joins = []
    for index, (view, (key, steps)) in enumerate(views.items()):
        expressions.append(
            f"c{index} AS (\n  SELECT times.{store.AS_OF}, chosen.SLICE_AS_OF, chosen.SLICE_VERSION, chosen.SLICE_KNOWN_AT\n"
            f"  FROM times ASOF JOIN ({_steps(steps)}) AS chosen\n"
            f"  MATCH_CONDITION (times.{store.AS_OF} >= chosen.VALID_FROM)\n)"
        )
        joins.append(
            f"LEFT JOIN c{index} ON c{index}.{store.AS_OF} = s.{store.AS_OF}\n"
            f"LEFT JOIN {store.view_table(view).sql} AS v{index} ON {_same('s', f'v{index}', key)} "
            f"AND v{index}.{store.AS_OF} = c{index}.SLICE_AS_OF\n"
            f"  AND v{index}.{store.VERSION} = c{index}.SLICE_VERSION AND v{index}.{store.KNOWN_AT} = c{index}.SLICE_KNOWN_AT"
        )
    return expressions, joins


def _steps(steps: Iterable[Validity]) -> str:
    """The timeline as rows: VALID_FROM, and the slice's AS_OF, version and KNOWN_AT, which are NULL where no slice answers."""
    rows = [
        f"({literal(str(step.start))}, "
        + (
            "NULL, NULL, NULL)"
            if step.slice is None
            else f"{literal(str(step.slice.as_of))}, {step.slice.version}, {literal(str(step.slice.known_at))})"
        )
        for step in steps
    ]
    named = (
        ("VALID_FROM", "TIMESTAMP_NTZ"),
        ("SLICE_AS_OF", "TIMESTAMP_NTZ"),
        ("SLICE_VERSION", "NUMBER"),
        ("SLICE_KNOWN_AT", "TIMESTAMP_NTZ"),
    )
    selected = ", ".join(f"column{index}::{kind} AS {name}" for index, (name, kind) in enumerate(named, 1))
    return f"SELECT {selected} FROM VALUES {', '.join(rows)}"


def _spine_query(features: FeatureSet, spine: Spine) -> str:
    contract = features.made_contract()
    [label] = features.slices_of(features.label_view)
    views = {
        view: (features.key_of(view), spine.timeline_of(view, features.slices_of(view, features.history)))
        for view in features.view_columns
    }
    expressions, joins = point_in_time_joins(views, "spine")
    rows = (
        f"spine AS (\n  SELECT {columns(contract.key)}, {store.ROW_TIME} AS {store.AS_OF}, {identifier(contract.label)}\n"
        f"  FROM {store.view_table(label.view).sql} WHERE {_of_slice(label)}\n)"
    )
    return (
        "WITH "
        + ",\n".join((rows, *expressions))
        + f"\nSELECT {_row_columns(contract, 's')}, {_number(features, 's', contract.label)},\n"
        f"  {_feature_columns(features)}\nFROM spine AS s\n" + "\n".join(joins)
    )


def _row_columns(contract: Contract, alias: str = "v0") -> str:
    return ", ".join(f"{alias}.{identifier(name)} AS {identifier(name)}" for name in (*contract.key, store.AS_OF))


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
    times = tuple(times)
    joined = []
    for index, view in enumerate(features.view_columns):
        key = features.key_of(view)
        rows = f"({_slices_query(features, view, key, times)}) AS v{index}"
        joined.append(rows if index == 0 else f"LEFT JOIN {rows} ON {_same('v0', f'v{index}', (*key, store.AS_OF))}")
    return "\n".join(joined)


def _same(left: str, right: str, names: Iterable[str]) -> str:
    return " AND ".join(f"{left}.{identifier(name)} = {right}.{identifier(name)}" for name in names)


def _slices_query(features: FeatureSet, view: str, key: tuple[str, ...], times: Iterable[datetime]) -> str:
    contract = features.made_contract()
    names = (contract.label,) if view == features.label_view else features.view_columns[view]
    wanted = set(times)
    conditions = " OR ".join(f"({_of_slice(part)})" for part in features.slices_of(view) if part.as_of in wanted)
    return f"SELECT {columns([*key, store.AS_OF, *names])} FROM {store.view_table(view).sql} WHERE {conditions}"


def _of_slice(part: Slice) -> str:
    return (
        f"{store.AS_OF} = {timestamp(part.as_of)} AND {store.VERSION} = {part.version} "
        f"AND {store.KNOWN_AT} = {timestamp(part.known_at)}"
    )
