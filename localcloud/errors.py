"""Errors of the local cloud itself. Clients of Snowflake and AWS get the vendors' own errors.

LocalCloudError
├── CallerError      the call is wrong: a port in use, a fault that cannot be set; exit code 2
└── PermanentError   the local cloud cannot work here; exit code 1
"""

from __future__ import annotations


class LocalCloudError(Exception):
    """Base class of the errors that the local cloud raises. ``str(error)`` is the text for the user, in full sentences."""

    exit_code = 1


class CallerError(LocalCloudError):
    """The call is wrong; the same call fails again until it changes."""

    exit_code = 2


class PermanentError(LocalCloudError):
    """The local cloud cannot work on this machine, or is broken."""
