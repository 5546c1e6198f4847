"""What the service is tuned to beyond its settings: nobody who runs it has a reason to change these, but a test may have one."""

from __future__ import annotations

from dataclasses import dataclass

from app.serve.models import live_models
from app.serve.scoring import circuit_breaker
from app.serve.security import api_keys
from app.serve.telemetry import capture


@dataclass(frozen=True)
class Tuning:
    """Seconds and numbers, each the argument of one part; what it means is written there."""

    key_file_look_s: float = api_keys.LOOK_EVERY_S
    reload_after_s: float = live_models.RELOAD_AFTER_S
    breaker_failed_of: int = circuit_breaker.FAILED_OF
    capture_look_s: float = capture.LOOK_EVERY_S
    capture_attempts: int = capture.ATTEMPTS
