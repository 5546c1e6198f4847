"""Compilation by numba, for code that reads bodies byte by byte, without the interpreter's lock.

Compiled code is cached for later processes, in a folder named after the sources of this package: a change in any of them
compiles all again, while numba itself only checks the file of the called function.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def _folder() -> Path:
    """Below NUMBA_CACHE_DIR, or below this user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    below = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(caches, "snowsage"))
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return below / hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


numba.config.CACHE_DIR = str(_folder())


def compiled(function: Compiled) -> Compiled:
    """``function``, compiled at its first call."""
    try:
        return cast(Compiled, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no writable folder: compiled again in every process
        return cast(Compiled, numba.njit(nogil=True)(function))


def forced(function: Compiled) -> Compiled:
    """Inlined by LLVM into its caller, also if it has two callers."""
    return cast(Compiled, numba.njit(forceinline=True, nogil=True)(function))


def inlined(function: Compiled) -> Compiled:
    """Inlined by numba into its caller: a call with arrays counts references, which costs as much as reading a value."""
    return cast(Compiled, numba.njit(inline="always")(function))
