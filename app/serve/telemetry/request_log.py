"""One log line a batch: which model and version, how many rows, how long each phase took, how it ended, for whom and which query.

A batch that ended well costs some 10 microseconds here; where that is too much, a share of them is logged, told by the query's
name, so that a query's batches are all there or none.

The one surprise: a refusal's text is left out, for it may name an object's keys, which are the caller's and may be anything.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from app import log
from app.errors import CallerError, SnowsageError, TransientError
from app.serve.idempotency.duration_estimate import Late
from app.serve.request import Call
from app.serve.sampling import chosen
from app.serve.scoring.endpoint import Refused

_MAX_CHARS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")
_UNSAFE_USER = re.compile(r"[^\w.@:+-]")  # users' names may be written in any script

_logger = logging.getLogger(__name__)


@contextmanager
def record(call: Call, share: float = 1.0) -> Iterator[None]:
    """Log the batch that the block works on when the block ends; its error goes on.

    ``share``: of the batches that end well, how many are logged.
    """
    try:
        yield
    except Exception as error:
        outcome = _outcome(error)
        _write(call, logging.INFO if outcome in ("refused", "deferred") else logging.WARNING, outcome, **_detail(error))
        raise
    if _logger.isEnabledFor(logging.INFO) and (
        share >= 1.0 or chosen((call.query_id or call.trace_id).encode(), share)
    ):
        _write(call, logging.INFO, "ok")


def _write(call: Call, level: int, outcome: str, **detail: str) -> None:
    phases = {f"{phase}_ms": round(seconds * 1000, 3) for phase, seconds in call.seconds.items()}
    log.event(
        _logger,
        level,
        "batch",
        model=_safe(call.model),
        version=call.version,
        variant=call.variant,
        rows=call.rows,
        **phases,
        outcome=outcome,
        query_id=_safe(call.query_id),
        batch_id=_safe(call.batch_id),
        user=_UNSAFE_USER.sub("?", call.user[:_MAX_CHARS]),
        caller=call.caller,
        trace_id=call.trace_id,
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
