"""XGBoost, imported without scikit-learn.

XGBoost imports scikit-learn, if it is installed, for its estimator classes. These are not used here, and they make the import take
five times as long: at each start of a service, an endpoint and a trial.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without(package: str) -> Iterator[None]:
    """The package cannot be imported, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system reads None as "not found"
    try:
        yield
    finally:
        del sys.modules[package]


with _without("sklearn"):
    import xgboost

__all__ = ["xgboost"]
