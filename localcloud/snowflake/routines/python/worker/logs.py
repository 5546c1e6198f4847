"""Log records of a handler, kept until they are sent with the next reply.

The libraries that implement a procedure's own session log as well; of those, only warnings and errors are kept.
"""

from __future__ import annotations

import logging
from typing import Any

_MAX_RECORDS = 1000
_SESSION_LIBRARIES = ("snowflake.", "urllib3", "botocore")


class Logs(logging.Handler):
    """Collects up to 1,000 records between two replies."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []
        logging.getLogger().addHandler(self)

    def listen(self, level: int) -> None:
        """Set the lowest level to record."""
        logging.getLogger().setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        carried = record.name.startswith(_SESSION_LIBRARIES) and record.levelno < logging.WARNING
        if carried or len(self._records) >= _MAX_RECORDS:
            return
        self._records.append(
            {
                "time": record.created,
                "level": record.levelno,
                "logger": record.name,
                "message": record.getMessage(),
                "path": record.pathname,
                "function": record.funcName,
                "line": record.lineno,
            }
        )

    def taken(self) -> list[dict[str, Any]]:
        found, self._records = self._records, []
        return found
