"""Procedures in Snowflake that write one view's slice: ``CALL FEATURE_STORE.REFRESH_<VIEW>('2026-11-30'::DATE)``.

A definition's query at any as-of time follows from its texts at a few, if its times are constants or keep their distance to the
as-of time. So the procedure needs neither the definition's Python nor this program: it writes the times into the query, and runs
the statements of ``app.features.store``. It has owner's rights: a caller needs no right on the sources or the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.errors import CallerError
from app.features import store
from app.features.definitions.reads import TIME, named_cuts, sources_read
from app.features.definitions.views import load_view
from app.features.routines import refresh
from app.features.routines.functions import RUNTIME, Routine, body
from app.features.sources import MODULUS, states_query
from app.features.store import Counts, SlicePlan, ViewVersion
from app.ownership import comment
from app.ports import Warehouse
from app.spec import FeatureView, PipelineFile
from app.sql import Name, Statement, literal

#: As-of times whose texts show which times of a query follow it: other years, months, days, and days of the week.
_PROBES = tuple(datetime.fromisoformat(day) for day in ("2023-01-31", "2024-02-29", "2024-12-02", "2025-07-13"))

#: Stand for the values of a call in the statements of the store.
_AS_OF, _KNOWN_AT = datetime(1, 1, 1), datetime(1, 1, 2)
_NAMES = {_AS_OF: "$as_of", str(_AS_OF): "$as_of", _KNOWN_AT: "$known_at", -1: "$rows"}


def refresh_procedures(warehouse: Warehouse, file: PipelineFile) -> tuple[Routine, ...]:
    """A procedure for each view. Raises CallerError for a definition whose query depends on its time in another way."""
    described: dict[str, Any] = {}
    return tuple(_procedure(warehouse, file, view, described) for view in file.pipeline.features)


def template(texts: Mapping[datetime, str], define: str) -> list[Any]:
    """The pieces of a text (:func:`app.features.routines.refresh.at_time`), from what it is at several times.

    Raises CallerError if the pieces do not give these texts.
    """
    split = [TIME.split(text) for text in texts.values()]
    times = zip(*(TIME.findall(text) for text in texts.values()), strict=False)
    pieces: list[Any] = []
    for before, written in zip(split[0], [*times, None], strict=False):
        pieces += [before] if written is None else [f"{before}'", _distance(written, list(texts)), "'"]
    if any(refresh.at_time(pieces, at) != text for at, text in texts.items()):
        raise CallerError(
            f"{define}: its query depends on as_of in other ways than by distances, so a procedure cannot write it at any time; "
            "compute it by `snowsage features`"
        )
    return pieces


def _distance(written: tuple[str, ...], times: list[datetime]) -> Any:
    """A constant text, a distance in microseconds, or a list with a distance in days."""
    texts = [text.strip("'") for text in written]
    try:
        moments = [datetime.fromisoformat(text) for text in texts]
    except ValueError:
        return texts[0]
    if len(set(texts)) == 1:
        return texts[0]
    apart = moments[0].replace(tzinfo=None) - times[0]
    if len(texts[0]) == len("2023-01-31"):
        return [apart.days]
    return apart // timedelta(microseconds=1)


def _procedure(warehouse: Warehouse, file: PipelineFile, view: FeatureView, described: dict[str, Any]) -> Routine:
    pipeline = file.pipeline
    sources, loaded = pipeline.sources, load_view(file.folder, view.define, described)
    queries = {at: loaded.query(warehouse, sources, at, at) for at in _PROBES}
    for at, query in queries.items():
        sources_read(named_cuts(query, sources, at), sources, loaded.definition(sources))
    key = tuple(pipeline.key_types(view.view))
    found = [column.name for column in warehouse.describe(queries[_PROBES[0]])]
    features = tuple(name for name in found if name not in key)
    settings = {
        "view": view.view,
        "query": template(queries, view.define),
        "states": template({at: states_query(sources, at).text for at in _PROBES}, "sources"),
        "sources": {name: source.table for name, source in sources.items()},
        "modulus": MODULUS,
        **_statements(view, key, features),
    }
    name = Name.of(store.SCHEMA, f"REFRESH_{view.view}")
    text = f"{Path(refresh.__file__).read_text(encoding='utf-8')}\n\nSETTINGS = json.loads({json.dumps(settings)!r})\n"
    return Routine(
        "PROCEDURE",
        name,
        Statement(
            f"CREATE OR REPLACE PROCEDURE {name.sql}(AS_OF DATE)\nCOPY GRANTS\nRETURNS VARIANT\nLANGUAGE PYTHON\n"
            f"RUNTIME_VERSION = '{RUNTIME}'\nPACKAGES = ('snowflake-snowpark-python')\nHANDLER = 'refresh'\n"
            f"COMMENT = {literal(comment(pipeline.name, f'writes a slice of {view.view}'))}\nEXECUTE AS OWNER\nAS {body(text)}"
        ),
    )


def _statements(view: FeatureView, key: tuple[str, ...], features: tuple[str, ...]) -> dict[str, Any]:
    part = SlicePlan(view.view, view.version, _AS_OF, "$query", "$definition", "$sources_sha256", "$sources")
    version = ViewVersion(view.view, view.version, key, features)
    counted = {(view.view, _AS_OF): Counts(-1, -1, {"$": 0})}
    record = store.write_lineage((part,), "procedure", _KNOWN_AT, counted, _KNOWN_AT)
    row = {name: _named(value) for name, value in json.loads(record.binds[-1])[0].items()}
    return {
        "find": _named_binds(store.find_slices([version])),
        "write": _named_binds(store.write_slices((part,), key, features, _KNOWN_AT, _KNOWN_AT)),
        "count": _named_binds(store.count_slices([version], _KNOWN_AT, _AS_OF, _AS_OF)),
        "remove": _named_binds(store.remove_slices((part,), _KNOWN_AT)),
        "record": _named_binds(Statement(record.text, (*record.binds[:-1], "$lineage"))),
        "lineage": {**row, "NULL_COUNTS": "$nulls"},
    }


def _named_binds(statement: Statement) -> list[Any]:
    return [statement.text, [_named(value) for value in statement.binds]]


def _named(value: Any) -> Any:
    return _NAMES.get(value, value) if isinstance(value, datetime | str | int) else value
