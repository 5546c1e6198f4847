"""The three kinds of error, because three things are decided: fix it, try again, or report it.

    SnowsageError
    ├── CallerError          input, settings or data are wrong; never retried; exit code 2
    │   ├── NotFound         a name the caller gave does not exist
    │   ├── Unauthorized     credentials are missing or refused
    │   └── GateRefused      the model is not good enough to go live; its version is kept as rejected
    ├── TransientError       may pass; retried by policy; exit code 75
    │   └── Overloaded       too much at a time, for us or a service behind us; slow down
    └── PermanentError       the platform says no, or we are broken; exit code 1

Vendor errors are translated where they are raised, once a vendor (``app/cloud``), by ``raise ... from``, so that no
stage knows a vendor's error classes. A text says what happened and what to do; it never holds a row's values or a secret.
"""

from __future__ import annotations


class SnowsageError(Exception):
    """Anything snowsage raises on purpose. ``str(error)`` is the text for the user, whole sentences."""

    exit_code = 1


class CallerError(SnowsageError):
    """The input, the settings or the data are wrong; the same call will fail again until they change."""

    exit_code = 2


class NotFound(CallerError):
    """Something the caller named does not exist, or the credentials in use do not show it."""


class Unauthorized(CallerError):
    """Credentials are missing or refused."""


class GateRefused(CallerError):
    """The gate of the pipeline file did not let a trained model pass."""


class TransientError(SnowsageError):
    """Something that may pass by itself: throttling, a timeout, a service that is not ready.

    ``retry_after_s``: seconds after which another attempt makes sense; ``None`` if unknown.
    """

    exit_code = 75

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Overloaded(TransientError):
    """Too many requests at a time, for this service or one behind it: the caller has to slow down, not only to try again."""


class PermanentError(SnowsageError):
    """The platform refuses for good, or this program is broken."""
