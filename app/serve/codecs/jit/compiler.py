"""Functions -> machine code, for what walks over bodies byte by byte. It runs without the interpreter's lock.

What was compiled is kept for later processes, in a folder named after the sources of this package: a change in any of them makes
all of it anew, while numba itself looks only at the file of the function that is called first.
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
    """Below NUMBA_CACHE_DIR, or where this user's caches are."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    below = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(caches, "snowsage"))
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return below / hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


numba.config.CACHE_DIR = str(_folder())


def compiled(function: Compiled) -> Compiled:
    """``function`` compiled when it is first called."""
    try:
        return cast(Compiled, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder that can be written: compiled anew in every process
        return cast(Compiled, numba.njit(nogil=True)(function))


def forced(function: Compiled) -> Compiled:
    """Compiled into the function that calls it, where LLVM would leave it a call because it stands in two places."""
    return cast(Compiled, numba.njit(forceinline=True, nogil=True)(function))


def inlined(function: Compiled) -> Compiled:
    """Written into each place that calls it: a call with arrays counts references, which costs as much as a value."""
    return cast(Compiled, numba.njit(inline="always")(function))
