"""Sources as a view gets them, for trying a definition in a notebook with one's own Snowpark session.

    orders = sources_at(session, "examples/churn", datetime(1998, 7, 1))["orders"].cache_result()

There a frame may be cached, shown and joined at will. A definition in a pipeline's folder must be one query, without cache_result.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from app import spec
from app.features.definitions.views import frames


def sources_at(session: Any, folder: str | Path, as_of: datetime) -> dict[str, Any]:
    """By short name, the sources of a pipeline's folder as DataFrames of ``session`` that end at ``as_of``, in UTC.

    Sets the session's TIMEZONE to UTC, as in a run. Raises CallerError for a pipeline file with faults.
    """
    pipeline = spec.load(Path(folder)).pipeline
    session.sql("ALTER SESSION SET TIMEZONE = 'UTC'").collect()
    return frames(session, pipeline.sources, as_of)
