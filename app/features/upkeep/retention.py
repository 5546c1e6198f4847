"""Removes the rows of superseded slices: those for which the store has a later slice of the same view, version and as-of time.

A slice is needed to rebuild a training set from what was known while it was the newest of its time, so its age counts from the
moment at which it was superseded. The lineage keeps its row, with REMOVED_AT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from app.errors import NotFound
from app.features import store
from app.features.observe import find_owners, label_view
from app.ports import Warehouse
from app.runs.ledger import LEDGER
from app.spec import Pipeline
from app.sql import Statement

#: Slices that one statement removes, at most.
_TOGETHER = 200

#: (view, version, as_of, known_at) of a slice.
Identity = tuple[str, int, datetime, datetime]


@dataclass(frozen=True)
class Superseded:
    """A slice with a later one of the same time. ``superseded_at``: when that one became known."""

    view: str
    version: int
    as_of: datetime
    known_at: datetime
    rows: int
    superseded_at: datetime

    @property
    def identity(self) -> Identity:
        return self.view, self.version, self.as_of, self.known_at


@dataclass(frozen=True)
class PrunePlan:
    """``remove``: the slices to remove. ``kept``: how many more are old enough, and are used."""

    before: datetime
    remove: tuple[Superseded, ...]
    kept: int

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.remove)


def plan_prune(warehouse: Warehouse, pipeline: Pipeline, before: datetime, runs_in_use: Collection[str]) -> PrunePlan:
    """The slices that were superseded before ``before``, in the tables that the pipeline owns. Raises NotFound without a lineage.

    ``runs_in_use``: the runs of registered versions that may answer. Their slices are kept, and so are those of each pipeline's
    latest run, which the view of current features reads.
    """
    names = [*(view.view for view in pipeline.features), label_view(pipeline)]
    objects = find_owners(warehouse, pipeline)
    owned = [name for name in names if (table := objects.get(store.view_table(name))) and table.owner == pipeline.name]
    if not owned:
        return PrunePlan(before, (), 0)
    rows = warehouse.run(find_superseded(owned, before)).rows
    found = [
        Superseded(view, int(version), as_of, known_at, int(count), next_at)
        for view, version, as_of, known_at, count, next_at in rows
    ]
    used = _used(warehouse, runs_in_use) if found else set()
    remove = tuple(part for part in found if part.identity not in used)
    return PrunePlan(before, remove, len(found) - len(remove))


def run_prune(plan: PrunePlan, warehouse: Warehouse, at: datetime) -> None:
    """Remove the rows, and record in the lineage that they were removed. Rows and record together, or not at all."""
    for view, group in groupby(plan.remove, key=lambda part: part.view):
        parts = list(group)
        for start in range(0, len(parts), _TOGETHER):
            warehouse.run_atomically(remove_slices(view, parts[start : start + _TOGETHER], at))


def find_superseded(views: Sequence[str], before: datetime) -> Statement:
    """(view, version, as_of, known_at, rows, when superseded) of each slice that was superseded before ``before``, by view."""
    return Statement(
        f"""SELECT VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT, ROW_COUNT, NEXT_KNOWN_AT FROM (
    SELECT VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT, ROW_COUNT,
        LEAD(KNOWN_AT) OVER (PARTITION BY VIEW_NAME, FEATURE_VERSION, AS_OF ORDER BY KNOWN_AT) AS NEXT_KNOWN_AT
    FROM {store.LINEAGE.sql} WHERE REMOVED_AT IS NULL AND VIEW_NAME IN ({_marks(views)})
)
WHERE NEXT_KNOWN_AT < ? ORDER BY VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT""",
        (*views, before),
    )


def find_used(runs: Collection[str]) -> Statement:
    """(view, version, as_of, known_at) of each slice that ``runs``, or the latest run of a pipeline, used."""
    named = f" OR RUN_ID IN ({_marks(runs)})" if runs else ""
    return Statement(
        f"""WITH chosen AS (
    SELECT RESULT FROM {LEDGER.sql} WHERE STAGE = 'features'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY PIPELINE ORDER BY FINISHED_AT DESC) = 1{named}
)
SELECT DISTINCT s.VALUE:view::VARCHAR, s.VALUE:version::NUMBER, s.VALUE:as_of::TIMESTAMP_NTZ, s.VALUE:known_at::TIMESTAMP_NTZ
FROM chosen, LATERAL FLATTEN(INPUT => PARSE_JSON(chosen.RESULT):slices) AS s""",
        tuple(runs),
    )


def remove_slices(view: str, parts: Sequence[Superseded], at: datetime) -> list[Statement]:
    """Delete the rows of slices of one view, and write into the lineage when."""
    same = " OR ".join(f"({store.VERSION} = ? AND {store.AS_OF} = ? AND {store.KNOWN_AT} = ?)" for _ in parts)
    binds = tuple(bind for part in parts for bind in (part.version, part.as_of, part.known_at))
    return [
        Statement(f"DELETE FROM {store.view_table(view).sql} WHERE {same}", binds),
        Statement(
            f"UPDATE {store.LINEAGE.sql} SET REMOVED_AT = ?::TIMESTAMP_NTZ WHERE VIEW_NAME = ? AND ({same})",
            (at, view, *binds),
        ),
    ]


def _used(warehouse: Warehouse, runs: Collection[str]) -> set[Identity]:
    try:
        rows = warehouse.run(find_used(runs)).rows
    except NotFound:  # slices of a backfill alone
        return set()
    return {(view, int(version), as_of, known_at) for view, version, as_of, known_at in rows}


def _marks(values: Iterable[str]) -> str:
    return ", ".join("?" for _ in values)
