"""Writes the missing slices of a plan and checks them.

A slice's rows are checked after they are written, and its lineage row is written last; a slice without that row does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.errors import CallerError, TransientError
from app.features import store
from app.features.plan import FeaturePlan, ViewPlan, feature_set
from app.features.sources import source_state
from app.features.store import Slice, SlicePlan
from app.features.training_set import FeatureSet, scoring_query
from app.ports import Warehouse
from app.runs.identity import Run, digest, now
from app.spec.schema import Source


def run_features(
    plan: FeaturePlan, warehouse: Warehouse, run: Run, tell: Callable[[str], None] = lambda _: None
) -> FeatureSet:
    """Write what is missing. Raises CallerError for a view with duplicate entities, a NULL key or no rows."""
    if plan.missing:
        warehouse.run(store.CREATE_LINEAGE)
    slices: list[Slice] = []
    written = 0
    for view in (*plan.views, plan.label):
        slices += view.found
        if view.missing:
            _prepare(warehouse, view)
        for part in view.missing:
            slices.append(_write(warehouse, run, plan, view, part))
            written += 1
            tell(
                f"{view.view} as of {part.as_of:%Y-%m-%d}, {slices[-1].rows:,} rows ({written} of {plan.missing} slices)"
            )
    made = feature_set(plan, tuple(slices))
    warehouse.run(store.create_current_view(run.pipeline, scoring_query(made)))
    return made


def refuse_changed_sources(plan: FeaturePlan, sources: Mapping[str, Source], warehouse: Warehouse, run: Run) -> None:
    """Raise TransientError if the sources changed while slices were written, since the lineage would name a wrong state.

    The run's slices are then marked incomplete; the next start is a new run over the current data.
    """
    if plan.missing and digest(source_state(warehouse, sources, plan.scoring_as_of)) != plan.sources_sha256:
        warehouse.run(store.forget_lineage(run.id))
        raise TransientError("the sources changed while features were computed from them; run it again")


def _prepare(warehouse: Warehouse, view: ViewPlan) -> None:
    warehouse.run(view.create)
    present = warehouse.describe(f"SELECT * FROM {store.view_table(view.view).sql}")
    for statement in store.add_columns(view.view, present, view.columns):
        warehouse.run(statement)


def _write(warehouse: Warehouse, run: Run, plan: FeaturePlan, view: ViewPlan, part: SlicePlan) -> Slice:
    key, features = plan.contract.key, tuple(column.name for column in view.columns)
    created_at = now()
    warehouse.run_atomically(store.write_slice(part, key, features, run.known_at, created_at))
    rows, distinct = (int(value) for value in warehouse.run(store.count_slice(part, key, run.known_at)).rows[0])
    if rows != distinct:
        raise CallerError(
            f"view {view.view} as of {part.as_of:%Y-%m-%d} returns {rows:,} rows for {distinct:,} entities; it must return one "
            f"row for each ({', '.join(key)})"
        )
    if rows == 0:
        raise CallerError(
            f"view {view.view} as of {part.as_of:%Y-%m-%d} has no rows: the sources have no rows before that time; check "
            "event_time, label.as_of and the logical date"
        )
    warehouse.run(store.write_lineage(part, run.id, run.known_at, rows, created_at))
    return Slice(part.view, part.version, part.as_of, run.known_at, rows)
