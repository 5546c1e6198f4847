"""The request log: one line for each request; for a batch with model, version, rows, phase durations, outcome, caller and query.

For services with many small requests, only a sample of the scored batches is logged, by query id, so that all batches of a query
are logged or none. Callers' errors are logged without their text, which may name keys of the caller's objects.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app import log
from app.errors import CallerError, SnowsageError, TransientError
from app.serve.request import PredictionRequest
from app.serve.sampling import sampled
from app.serve.scoring.endpoint import EndpointRefusal
from app.serve.scoring.scorer import DeferralNeeded

_MAX_CHARS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")
_UNSAFE_USER = re.compile(r"[^\w.@:+-]")  # users' names may be written in any script

_UNSAFE_PATH = re.compile(r"[^A-Za-z0-9_.:/-]")
_PREDICTIONS = "/predict/"
_PROBES = {"/v2/health/live", "/v2/health/ready", "/metrics"}

_logger = logging.getLogger(__name__)


@contextmanager
def logged(request: PredictionRequest, share: float = 1.0) -> Iterator[None]:
    """Log ``request`` when the block ends; errors pass through. ``share``: of the scored batches, the part that is logged."""
    try:
        yield
    except Exception as error:
        log_failure(request, error)
        raise
    log_scored(request, share)


def log_failure(request: PredictionRequest, error: Exception) -> None:
    """Log ``request``, which ended with ``error``."""
    outcome = _outcome(error)
    level = logging.INFO if outcome in ("refused", "deferred") else logging.WARNING
    _write(request, level, outcome, **_detail(error))


def log_scored(request: PredictionRequest, share: float) -> None:
    """Log ``request``, which was scored, if it is in the ``share`` that is logged."""
    if _logger.isEnabledFor(logging.INFO) and (
        share >= 1.0 or sampled((request.query_id or request.trace_id).encode(), share)
    ):
        _write(request, logging.INFO, "ok")


def log_other(method: str, path: str, status: int, caller: str, started: float) -> None:
    """Log a request that is no prediction. ``started``: by ``time.monotonic``. Probes and scrapes that succeed are left out."""
    if not _logger.isEnabledFor(logging.INFO) or path.startswith(_PREDICTIONS) or path.endswith(("/predict", "/infer")):
        return
    if status < 400 and path in _PROBES:
        return
    took_ms = round((time.monotonic() - started) * 1000, 3)
    log.event(
        _logger,
        logging.INFO,
        "request",
        method=_safe(method),
        path=_UNSAFE_PATH.sub("?", path[:_MAX_CHARS]),
        status=status,
        ms=took_ms,
        caller=caller,
    )


def _write(request: PredictionRequest, level: int, outcome: str, **detail: str) -> None:
    phases = {f"{phase}_ms": round(seconds * 1000, 3) for phase, seconds in request.seconds.items()}
    log.event(
        _logger,
        level,
        "batch",
        model=_safe(request.model),
        version=request.version,
        variant=request.variant,
        rows=request.rows,
        **phases,
        outcome=outcome,
        query_id=_safe(request.query_id),
        batch_id=_safe(request.batch_id),
        user=_UNSAFE_USER.sub("?", request.user[:_MAX_CHARS]),
        caller=request.caller,
        trace_id=request.trace_id,
        **detail,
    )


def _outcome(error: Exception) -> str:
    if isinstance(error, DeferralNeeded):
        return "deferred"
    if isinstance(error, CallerError):
        return "refused"
    return "unavailable" if isinstance(error, TransientError) else "failed"


def _detail(error: Exception) -> dict[str, str]:
    ours = isinstance(error, SnowsageError) and (
        isinstance(error, EndpointRefusal) or not isinstance(error, CallerError)
    )
    return {"error": type(error).__name__} | ({"detail": str(error)} if ours else {})


def _safe(text: str) -> str:
    return _UNSAFE.sub("?", text[:_MAX_CHARS])
