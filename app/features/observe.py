"""Reads what the plan depends on: the views' queries and columns, the state of their sources, and the finished slices.

The result is a plain value, from which ``plan`` decides without another query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.errors import CallerError, NotFound
from app.features import store
from app.features.sources import check_sources, source_state
from app.features.store import SlicePlan
from app.features.views import view_query
from app.ports import ColumnType, Row, Warehouse
from app.runs.identity import Run, digest
from app.spec import Pipeline, PipelineFile

#: The label's slices are stored like a view's. A label has no version number; the digest of its definition identifies it.
LABEL_VERSION = 1


@dataclass(frozen=True)
class ObservedView:
    """A view or the label. ``columns``: all that it returns. ``slices``: what would be written at each as-of time.

    ``finished``: (as_of, known_at, rows, digest of the definition, digest of the sources) of each slice in the store.
    """

    view: str
    version: int
    columns: tuple[ColumnType, ...]
    slices: tuple[SlicePlan, ...]
    finished: tuple[Row, ...]


@dataclass(frozen=True)
class Observed:
    """Everything that ``plan`` needs."""

    views: tuple[ObservedView, ...]
    label: ObservedView


def training_times(pipeline: Pipeline, as_of: datetime) -> tuple[datetime, ...]:
    """The as-of times of training rows, ascending: the last one's label is complete at ``as_of``, the run's logical date."""
    label = pipeline.label
    last = as_of - label.horizon
    return tuple(last - label.as_of.every * back for back in reversed(range(label.as_of.last)))


def label_view(pipeline: Pipeline) -> str:
    """The name under which the label's slices are stored."""
    return f"{pipeline.name.upper().replace('-', '_')}_LABEL"


def observe(warehouse: Warehouse, file: PipelineFile, run: Run) -> Observed:
    """Read everything that a pipeline's features depend on. Raises CallerError for definitions that cannot be read or run."""
    pipeline = file.pipeline
    check_sources(warehouse, pipeline.sources)
    times = training_times(pipeline, run.as_of)
    observer = _Observer(warehouse, file)
    views = tuple(
        observer.look(view.view, view.version, view.define, (*times, run.as_of), timedelta())
        for view in pipeline.features
    )
    label = pipeline.label
    return Observed(views, observer.look(label_view(pipeline), LABEL_VERSION, label.define, times, label.horizon))


class _Observer:
    """Observes one view after another, and caches the sources' state at each cut, which the views share."""

    def __init__(self, warehouse: Warehouse, file: PipelineFile) -> None:
        self._warehouse = warehouse
        self._file = file
        self._states: dict[datetime, Mapping[str, object]] = {}

    def look(
        self, view: str, version: int, define: str, times: tuple[datetime, ...], beyond: timedelta
    ) -> ObservedView:
        """One view at ``times``. Its sources hold rows up to ``beyond`` after each of them."""
        slices = tuple(self._slice(view, version, define, as_of, as_of + beyond) for as_of in times)
        try:
            columns = self._warehouse.describe(slices[-1].query)
        except CallerError as error:
            raise type(error)(f"view {view} ({define}): {error}") from error
        return ObservedView(view, version, columns, slices, self._finished(view, version))

    def _slice(self, view: str, version: int, define: str, as_of: datetime, cut: datetime) -> SlicePlan:
        sources = self._file.pipeline.sources
        query = view_query(self._warehouse, self._file.folder, define, sources, as_of, cut)
        if cut not in self._states:
            self._states[cut] = source_state(self._warehouse, sources, cut)
        state = self._states[cut]
        return SlicePlan(view, version, as_of, query, digest(query), digest(state), json.dumps(state))

    def _finished(self, view: str, version: int) -> tuple[Row, ...]:
        try:
            return tuple(self._warehouse.run(store.find_slices(view, version)).rows)
        except NotFound:
            return ()  # nothing was stored yet
