"""Conditional writes that are atomic; moto checks the condition and writes without a lock in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.s3.responses import S3Response

_writing = threading.RLock()


def install() -> None:
    """Make puts and deletes of single objects in this process wait for each other."""
    for name in ("put_object", "delete_object"):
        operation = getattr(S3Response, name)
        if not hasattr(operation, "__wrapped__"):
            setattr(S3Response, name, _one_at_a_time(operation))


def _one_at_a_time(operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def run(*arguments: Any, **named: Any) -> Any:
        with _writing:
            return operation(*arguments, **named)

    return run
