"""Logging: one line an event with key=value fields; never a row's values and never a secret."""

from __future__ import annotations

import logging
from typing import Any


def event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log ``message`` with ``fields``, which a formatter finds as ``record.fields``."""
    logger.log(level, message, extra={"fields": fields})
