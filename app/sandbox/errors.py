"""Translates the local cloud's errors into the product's, the way ``app/cloud`` translates a vendor's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import CallerError, PermanentError

#: Packages of this distribution; if one of them is missing, the installation is broken, not incomplete.
_OWN = {"app", "sagemaker_entry"}


@contextmanager
def local_cloud() -> Iterator[None]:
    """Wraps code that uses the local cloud. Raises CallerError if the local cloud is not installed."""
    try:
        from localcloud import errors

        try:
            yield
        except errors.CallerError as error:
            raise CallerError(str(error)) from error
        except errors.LocalCloudError as error:
            raise PermanentError(str(error)) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _OWN:
            raise
        raise CallerError(
            f"{package} is not installed, and the local cloud needs it; install it with: pip install 'snowsage[local]'"
        ) from error
