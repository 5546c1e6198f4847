"""What the service is tuned to beyond its settings: nobody who runs it has a reason to change these, but a test may have one."""

from __future__ import annotations

from dataclasses import dataclass

from app.serve import api_keys, capture, models
from app.serve.scorers import breaker


@dataclass(frozen=True)
class Tuning:
    """Seconds and numbers, each the argument of one part; what it means is written there."""

    key_file_look_s: float = api_keys.LOOK_EVERY_S
    reload_after_s: float = models.RELOAD_AFTER_S
    breaker_failed_of: int = breaker.FAILED_OF
    capture_look_s: float = capture.LOOK_EVERY_S
    capture_attempts: int = capture.ATTEMPTS
