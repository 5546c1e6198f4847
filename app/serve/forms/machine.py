"""Functions -> machine code, for what walks over bodies byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def compiled(function: Compiled) -> Compiled:
    """``function`` compiled when it is first called; it runs without the interpreter's lock."""
    try:
        return cast(Compiled, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder that can be written: compiled anew in every process
        return cast(Compiled, njit(nogil=True)(function))
