"""One log line a batch: which model and version, how many rows, how long each phase took, how it ended, for which query.

The one surprise: a refusal's text is left out, for it may name an object's keys, which are the caller's and may be anything.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from app import log
from app.errors import CallerError, SnowsageError, TransientError
from app.serve.call import Call
from app.serve.deferred.pace import Late
from app.serve.scorers.endpoint import Refused

_MAX_CHARS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")

_logger = logging.getLogger(__name__)


@contextmanager
def record(call: Call) -> Iterator[None]:
    """Log the batch that the block works on when the block ends; its error goes on."""
    try:
        yield
    except Exception as error:
        _write(call, _outcome(error), **_detail(error))
        raise
    _write(call, "ok")


def _write(call: Call, outcome: str, **detail: str) -> None:
    level = logging.INFO if outcome in ("ok", "refused", "deferred") else logging.WARNING
    phases = {f"{phase}_ms": round(seconds * 1000, 3) for phase, seconds in call.seconds.items()}
    log.event(
        _logger,
        level,
        "batch",
        model=_safe(call.model),
        version=call.version,
        rows=call.rows,
        **phases,
        outcome=outcome,
        query_id=_safe(call.query_id),
        batch_id=_safe(call.batch_id),
        **detail,
    )


def _outcome(error: Exception) -> str:
    if isinstance(error, Late):
        return "deferred"
    if isinstance(error, CallerError):
        return "refused"
    return "unavailable" if isinstance(error, TransientError) else "failed"


def _detail(error: Exception) -> dict[str, str]:
    ours = isinstance(error, SnowsageError) and (isinstance(error, Refused) or not isinstance(error, CallerError))
    return {"error": type(error).__name__} | ({"detail": str(error)} if ours else {})


def _safe(text: str) -> str:
    return _UNSAFE.sub("?", text[:_MAX_CHARS])
