"""Whether requests should be sent here, and if not, why: what is still being made ready, what failed, and whether we are leaving.

Liveness is another question and needs nothing: a process that is not ready must not be killed for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app import log
from app.serve.models.live_models import LiveModels

_logger = logging.getLogger(__name__)


class Readiness:
    """The service's state. ``warm``: compiles the reader, once; ``models``: ready once their records and models are read."""

    def __init__(self, models: LiveModels, warm: Callable[[], None]) -> None:
        self._models, self._warm = models, warm
        self._reader_fault: str | None = "the compiled reader is not warm yet"
        self.draining = False

    def prepare(self) -> None:
        """Make everything ready. Blocks for seconds; a failure is kept for ``reasons`` and not raised."""
        try:
            self._warm()
            self._reader_fault = None
        except Exception as error:  # whatever a compiler raises: the process lives on and says why it is not ready
            log.event(_logger, logging.ERROR, "the compiled reader fails", error=type(error).__name__)
            self._reader_fault = f"the compiled reader fails ({type(error).__name__})"
        self.look_again()

    def look_again(self) -> None:
        """Read what is live where that failed before. Blocks."""
        if self._models.fault is not None:
            self._models.load()

    def drain(self) -> None:
        """From now on not ready: the process is about to end."""
        self.draining = True

    @property
    def reasons(self) -> list[str]:
        """Why requests should not be sent here, in words that hold no address; none where they should."""
        leaving = "the service is shutting down" if self.draining else None
        return [reason for reason in (leaving, self._reader_fault, self._models.fault) if reason]
