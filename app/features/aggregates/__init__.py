"""What feature definitions are written with: trailing windows, recency, gaps, ratios and scores, in plain Snowpark.

``from app.features.aggregates import trailing, total, recency`` is the import that definitions use; the modules below it are not
public. Each function builds lazy Columns or DataFrames and asks Snowflake nothing, not even for the columns of a frame. Times of
every type are compared in UTC, whatever the session's TIMEZONE is (:func:`utc`). Windows are half-open: an event at the as-of time
itself is not in them.
"""

from app.features.aggregates.event_time import active_months, recency, tenure, utc
from app.features.aggregates.gaps import gaps
from app.features.aggregates.measures import (
    Measure,
    count,
    deviation,
    distinct,
    maximum,
    mean,
    minimum,
    ratio,
    total,
)
from app.features.aggregates.scores import score_by_rank, score_by_rules, score_by_value
from app.features.aggregates.tiled import Tiled
from app.features.aggregates.windows import LIFETIME, trailing

__all__ = [
    "LIFETIME",
    "Measure",
    "Tiled",
    "active_months",
    "count",
    "deviation",
    "distinct",
    "gaps",
    "maximum",
    "mean",
    "minimum",
    "ratio",
    "recency",
    "score_by_rank",
    "score_by_rules",
    "score_by_value",
    "tenure",
    "total",
    "trailing",
    "utc",
]
