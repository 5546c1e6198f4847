"""Refuses pipelines whose training and test parts would hold the same rows, and features made of the label."""

from __future__ import annotations

import json
from datetime import datetime

from app.errors import CallerError
from app.features.catalogue.lineage import trace
from app.features.observe import Observed, ObservedView
from app.spec import Pipeline


def check_origins(pipeline: Pipeline, observed: Observed) -> None:
    """Raise CallerError for a feature that is made of the label's column under another name.

    Only in a snapshot: where sources are cut, the column's values before the as-of time are no secret.
    """
    if pipeline.label.source is None or not pipeline.is_snapshot:
        return
    table = pipeline.sources[pipeline.label.source].table
    column = f"{table}.{pipeline.label.column}"
    for seen in observed.views:
        if seen.definition is None:
            continue
        names = [each.name for each in seen.columns if each.name not in pipeline.key]
        origins = trace(seen.definition.query, names, seen.definition.tables, observed.sources)
        if made := [name for name, origin in origins.items() if column in (origin.columns or ())]:
            raise CallerError(
                f"view {seen.view}: {', '.join(made)} is made of {pipeline.label.column} of {table}, the label, so the model would "
                f"know what it predicts; leave {made[0]} out of the view"
            )


def check_slices_differ(pipeline: Pipeline, observed: Observed) -> None:
    """Raise CallerError where the same rows would be in the training part and in the test part.

    That is a label of the same rows at all as-of times, a view of them whose source has one time for all rows, so that nothing
    tells when they became known, and a pipeline all of whose views read the same rows at all as-of times. A snapshot, which has one
    as-of time, is split by entity.
    """
    if pipeline.is_snapshot:
        return
    times = {*pipeline.training_times(observed.views[0].slices[-1].as_of)}
    if not pipeline.has_spine and _same_rows(observed.label, times):
        raise CallerError(_identical("the label", observed.label, pipeline, observed))
    constant = {name for name, span in observed.spans.items() if span is not None and span[0] == span[1]}
    same = [seen for seen in observed.views if _same_rows(seen, times)]
    for seen in same:
        if seen.reads & constant or len(same) == len(observed.views):
            raise CallerError(_identical(f"view {seen.view}", seen, pipeline, observed))


def _same_rows(seen: ObservedView, times: set[datetime]) -> bool:
    """Whether the sources that a view reads have the same rows at all ``times``."""
    states = [json.loads(part.sources) for part in seen.slices if part.as_of in times]
    rows = {tuple((state[name]["rows"], state[name]["hash"]) for name in sorted(seen.reads)) for state in states}
    return bool(seen.reads) and len(rows) == 1


def _identical(what: str, seen: ObservedView, pipeline: Pipeline, observed: Observed) -> str:
    first, last = seen.slices[0].as_of, observed.label.slices[-1].as_of
    if not any(observed.spans[name] for name in seen.reads):
        named = ", ".join(f"{pipeline.sources[name].table} (sources.{name})" for name in sorted(seen.reads))
        return (
            f"{what} has no rows: {named} has no rows before the last as-of time; check event_time, label.as_of and the logical "
            "date"
        )
    reasons = []
    for name in sorted(seen.reads):
        source, span = pipeline.sources[name], observed.spans[name]
        column = f"{source.event_time} of {source.table} (sources.{name})"
        if span is None:
            reasons.append(f"{column} is before the last as-of time in no row")
        elif span[0] == span[1]:
            reasons.append(f"{column} has the same value in all rows")
        else:
            reasons.append(f"{column} has no value between the first and the last of these times")
    return (
        f"{what} is made of the same rows at all as-of times from {first:%Y-%m-%d} to {last:%Y-%m-%d}, so training and test would "
        f"hold the same entities with the same values: {'; '.join(reasons)}. Let event_time name the column that says when each "
        "row became known, choose label.as_of within the time that the data covers, or, for a table without time, write "
        "`split: {by: hash}` in training"
    )
