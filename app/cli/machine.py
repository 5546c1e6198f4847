"""Faults of the machine that the command line runs on: a full disk, a folder that cannot be written, no memory.

They can happen at every file that is written, also inside a vendor's library, so they are recognised in one place: where a command
ends.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator

from app.errors import CallerError, SnowsageError, TransientError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_EXHAUSTED = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

#: How an errno is written in a text, if the exception does not carry it.
_WRITTEN = re.compile(r"\[errno (\d+)\]", re.IGNORECASE)


def machine_fault(error: BaseException) -> SnowsageError | None:
    """The fault of this machine that ``error`` reports or was caused by, in words; None for any other error."""
    for cause in _chain(error):
        if isinstance(cause, MemoryError):
            return TransientError("this machine has no memory left; end other programs, or use a larger machine")
        if isinstance(cause, OSError) and (found := _described(cause)) is not None:
            return found
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _described(error: OSError) -> SnowsageError | None:
    number = error.errno
    if number is None and (isinstance(error, shutil.Error) or _WRITTEN.search(str(error))):
        written = _WRITTEN.search(str(error))
        number = int(written[1]) if written else None
    where = f" ({error.filename})" if error.filename else ""
    if number in _FULL:
        return TransientError(
            f"the disk is full{where}: {os.strerror(number)}. Free space, or set TMPDIR to a folder on another disk "
            f"(it is {_temporary_folder()} now); then start the same command again to continue"
        )
    if number in _EXHAUSTED:
        return TransientError(f"this machine refuses{where}: {os.strerror(number)}. End other programs, then try again")
    if number in _FORBIDDEN:
        return CallerError(f"this machine refuses{where}: {os.strerror(number)}. Check who may read and write it")
    if number == errno.ENOENT and "temporary directory" in str(error):
        return TransientError(
            "no folder for temporary files can be written: they are full, or not yours. Free space, or set TMPDIR to a folder "
            "that you can write; then start the same command again to continue"
        )
    return None


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "unknown"
