"""Logging: one line for each event, with key=value fields, or JSON; never a row's values and never a secret.

``configure`` is called once, by the command line. Modules use ``logging.getLogger(__name__)`` and pass fields through
:func:`event`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from functools import lru_cache
from typing import Any, Literal

import orjson

Format = Literal["text", "json"]


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(f"{key}={value}" for key, value in getattr(record, "fields", {}).items())
        line = f"{clock} {record.levelname.lower():<7} {record.name}: {record.getMessage()}"
        return f"{line} {fields}".rstrip() + self._trace(record)

    def _trace(self, record: logging.LogRecord) -> str:
        return "\n" + self.formatException(record.exc_info) if record.exc_info else ""


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        body = {
            "time": f"{_utc(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            body["trace"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(body, default=str).decode()
        except TypeError:  # half a character, or a number beyond 64 bits: the line is written anyway
            return json.dumps(body, default=str)


@lru_cache(maxsize=4)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def configure(level: str = "warning", format: Format = "text") -> None:
    """Write log lines of this program and of the local cloud to standard error. Called once, by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if format == "json" else _TextFormatter())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # read for each line, never shown
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("app", "localcloud"):
        logging.getLogger(name).setLevel(level.upper())


def always(**fields: Any) -> None:
    """Add ``fields`` to the end of each line from now on, such as the number of the worker that writes it. Call after
    ``configure``.
    """

    def add(record: logging.LogRecord) -> bool:
        record.fields = {**getattr(record, "fields", {}), **fields}
        return True

    for handler in logging.getLogger().handlers:
        handler.addFilter(add)


def event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log ``message`` with ``fields``. No field may hold a row's value or a secret."""
    if logger.isEnabledFor(level):
        # Made here, since the logger would first search the stack for a file and a line that no format shows.
        record = logger.makeRecord(logger.name, level, "", 0, message, (), None, extra={"fields": fields})
        logger.handle(record)
