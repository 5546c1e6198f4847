"""Whose tables a pipeline writes: its own, those that it adopts, and views that it shares with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.errors import CallerError
from app.features import store
from app.features.catalogue.difference import difference, with_sources
from app.features.observe import Observed, ObservedView
from app.ownership import Existing, claim, set_comment
from app.spec import Pipeline
from app.sql import Name, Statement


def check_owners(pipeline: Pipeline, observed: Observed) -> tuple[Statement, ...]:
    """The statements that adopt tables without an owner. Raises CallerError for an object of another pipeline, and for a view
    whose version is stored with another definition.

    A view of another pipeline may be used if its definition is the same: its slices are then shared.
    """
    objects = observed.objects
    adopted = views_to_adopt(pipeline, observed.views, objects)
    label, current = store.view_table(observed.label.view), store.current_view(pipeline.name)
    if claim(pipeline.name, objects.get(label), "give the pipeline another name"):
        adopted.append(label)
    # The view of current rows is replaced with its comment in any case.
    claim(pipeline.name, objects.get(current), "give the pipeline another name")
    return tuple(set_comment("TABLE", name, store.table_comment(pipeline.name)) for name in adopted)


def views_to_adopt(pipeline: Pipeline, views: Sequence[ObservedView], objects: Mapping[Name, Existing]) -> list[Name]:
    """The tables of views that have no owner and are adopted. Raises CallerError as :func:`check_owners`."""
    return [name for seen in views if _check_view(pipeline, seen, objects.get(name := store.view_table(seen.view)))]


def _check_view(pipeline: Pipeline, seen: ObservedView, found: Existing | None) -> bool:
    """Whether the view's table is adopted."""
    stored = {row[3] for row in seen.finished}
    same = any(part.definition_sha256 in stored for part in seen.slices)
    known = {(row[0], row[3]) for row in seen.finished}
    times = {row[0] for row in seen.finished}
    other = [part for part in seen.slices if part.as_of in times and (part.as_of, part.definition_sha256) not in known]
    shared = found is not None and found.owner not in (None, pipeline.name)
    if not times.intersection(part.as_of for part in seen.slices):
        other = [*seen.slices] if _rewritten(seen) else []
    if other or (stored and not same and shared):
        made_by = f" by pipeline {found.owner}" if found is not None and shared else ""
        instead = "give the view another name, or take over that definition" if shared else "raise its version"
        raise CallerError(
            f"view {seen.view}: version {seen.version} is stored with another definition{made_by}; {instead}{_changes(seen)}"
        )
    if shared and same:
        return False
    return claim(pipeline.name, found, f"give view {seen.view} another name")


def _rewritten(seen: ObservedView) -> bool:
    """Whether both the definition's text and its query differ from what the store has of this version.

    A text alone may have another comment, and a query alone may be that of another time, if the definition branches on its time.
    """
    stored, present = seen.stored_definition, seen.definition
    return stored is not None and present is not None and stored.text != present.text and bool(_difference(seen))


def _changes(seen: ObservedView) -> str:
    """How the definition differs from the stored one, on the lines after the message; empty if the store does not know."""
    stored, present = seen.stored_definition, seen.definition
    if stored is None or present is None:
        return ""
    shown = _difference(seen)
    return f"\n{shown}" if shown else f". The query of {present.define} is the same but for its constant times"


def _difference(seen: ObservedView) -> str:
    stored, present = seen.stored_definition, seen.definition
    assert stored is not None
    assert present is not None
    return difference(
        with_sources(stored.query, stored.tables),
        with_sources(present.query, present.tables),
        f"{stored.define}, version {seen.version} in the store",
        f"{present.define}, now",
    )
