"""The three kinds of error, by what the receiver does: fix it, try again, or report it.

    SnowsageError
    ├── CallerError          input, settings or data are wrong; never retried
    │   ├── NotFound         a name the caller gave does not exist
    │   ├── Unauthorized     credentials are missing or refused
    │   └── GateRefused      the model is not good enough to go live; its version is kept as rejected
    ├── TransientError       may pass; retried by policy
    │   ├── Busy             another change of the same object is in progress; wait for it
    │   └── Overloaded       too many requests at a time, for this service or one behind it
    └── PermanentError       the platform says no, or this program is broken

    Interrupted              Ctrl-C while something goes on elsewhere; a KeyboardInterrupt, which no handler of errors catches

Vendor errors are translated in one place for each vendor (``app/cloud``), so that no stage knows a vendor's error classes. Exit
codes are assigned in ``app/cli/exit_codes.py``, HTTP statuses in ``app/serve/http/problems.py``. A text says what happened and
what to do; it never holds a row's values or a secret.
"""

from __future__ import annotations


class SnowsageError(Exception):
    """Anything snowsage raises on purpose. ``str(error)`` is the text for the user, whole sentences."""


class CallerError(SnowsageError):
    """The input, the settings or the data are wrong; the same call will fail again until they change."""


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

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Busy(TransientError):
    """Another change of the same object is in progress: wait until it has ended, then repeat the call."""


class Overloaded(TransientError):
    """Too many requests at a time, for this service or one behind it: the caller has to slow down, not only to try again."""


class PermanentError(SnowsageError):
    """The platform refuses for good, or this program is broken."""


class Interrupted(KeyboardInterrupt):
    """The user stopped the program. ``str(error)``: what goes on without it, and how to continue."""
