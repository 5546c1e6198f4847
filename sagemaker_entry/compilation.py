"""Compilation by numba, for code that works on numbers without the interpreter's lock.

Compiled code is cached for later processes, in a folder named after the sources of the package that it belongs to: a change in any
of them compiles all again, while numba itself only checks the file of the called function.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


class Compiler:
    """Compiles functions of the package in ``folder``."""

    def __init__(self, folder: Path) -> None:
        caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        below = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(caches, "snowsage"))
        sources = sorted(folder.glob("*.py"))
        self._cache = below / hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]

    def __call__(self, function: Compiled) -> Compiled:
        """``function``, compiled at its first call."""
        numba.config.CACHE_DIR = str(self._cache)  # read when a function is declared
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
