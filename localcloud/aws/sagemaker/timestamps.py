"""Times as SageMaker writes them."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """The present in UTC, with milliseconds."""
    moment = dt.datetime.now(dt.UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
