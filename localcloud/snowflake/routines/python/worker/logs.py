"""What a handler logs, kept until it is sent with the next reply.

Of the libraries that a procedure's session uses, only warnings and errors are kept.
"""

from __future__ import annotations

import logging
from typing import Any

_MOST = 1000
_CARRIERS = ("snowflake.", "urllib3", "botocore")


class Logs(logging.Handler):
    """The first thousand records since they were last taken."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []
        logging.getLogger().addHandler(self)

    def listen(self, level: int) -> None:
        """Keep records from ``level`` on."""
        logging.getLogger().setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        carried = record.name.startswith(_CARRIERS) and record.levelno < logging.WARNING
        if carried or len(self._records) >= _MOST:
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
