"""Logging: one line for each event with key=value fields, without row values and secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

from localcloud.errors import CallerError

_LEVELS = ("debug", "info", "warning", "error")


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items())
        return super().formatMessage(record) + fields


def configure(level: str = "warning") -> None:
    """Write log lines of the local cloud to standard error. Called once, by the command line; raises CallerError."""
    if level not in _LEVELS:
        raise CallerError(f"{level} is not a log level; the levels are {', '.join(_LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.getLogger().addHandler(handler)
    logging.getLogger("localcloud").setLevel(level.upper())


def event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log ``message`` with ``fields``, which a formatter finds as ``record.fields``."""
    logger.log(level, message, extra={"fields": fields})
