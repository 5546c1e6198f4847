"""Readiness: whether requests should be sent to this process, and if not, why: not prepared yet, failed, or shutting down.

Liveness is separate: a process that is not ready must not be killed for that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app import log
from app.serve.models.live_models import LiveModels

_logger = logging.getLogger(__name__)


class Readiness:
    """The readiness of the service. ``warm``: compiles the reader; ``models``: ready once their records and models are read."""

    def __init__(self, models: LiveModels, warm: Callable[[], None]) -> None:
        self._models, self._warm = models, warm
        self._reader_fault: str | None = "the compiled reader is not warm yet"
        self.draining = False

    def prepare(self) -> None:
        """Prepare everything. Blocks for seconds; a failure is kept in ``reasons`` and not raised."""
        try:
            self._warm()
            self._reader_fault = None
        except (
            Exception
        ) as error:  # a compiler may raise anything: the process stays alive and says why it is not ready
            log.event(_logger, logging.ERROR, "the compiled reader fails", error=type(error).__name__)
            self._reader_fault = f"the compiled reader fails ({type(error).__name__})"
        self.check_again()
        if not self.reasons:
            models = ", ".join(f"{live.model} {live.version}" for live in self._models.all())
            log.event(_logger, logging.INFO, "ready", models=models or "none; `snowsage run` deploys the first")

    def check_again(self) -> None:
        """Read the live records if that failed before. Blocks."""
        if self._models.fault is not None:
            self._models.load()

    def drain(self) -> None:
        """Be not ready from now on: the process is shutting down."""
        self.draining = True

    @property
    def reasons(self) -> list[str]:
        """Why requests should not be sent here, without addresses; empty if ready."""
        draining = "the service is shutting down" if self.draining else None
        return [reason for reason in (draining, self._reader_fault, self._models.fault) if reason]
