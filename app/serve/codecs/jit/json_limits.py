"""Limits of a JSON body, checked before anything is built from it: how deep it nests, how many arrays and objects it holds.

Every array and object costs tens of bytes of memory for two bytes of JSON. A batch needs one array a row, or an array and an
object; a body with many more is not a batch and is rejected before it fills the memory.

Compiled; about a nanosecond a byte. Only the general path needs it: the compiled readers build nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.errors import CallerError
from app.serve.codecs.jit.compiler import compiled

#: Nesting of arrays and objects; a batch has three levels.
MAX_DEPTH = 32
#: Arrays and objects in total: two for each of 131,072 rows.
MAX_CONTAINERS = 262_144


class TooManyParts(CallerError):
    """The body holds more arrays and objects than any batch needs."""


def check(body: bytes | memoryview) -> None:
    """Raise CallerError if ``body``, any bytes, nests too deep, and TooManyParts if it holds too many arrays and objects."""
    depth, containers = _measure(np.frombuffer(body, dtype=np.uint8), MAX_DEPTH, MAX_CONTAINERS)
    if depth > MAX_DEPTH:
        raise CallerError(f"the body nests arrays and objects more than {MAX_DEPTH} deep")
    if containers > MAX_CONTAINERS:
        raise TooManyParts(f"the body holds more than {MAX_CONTAINERS} arrays and objects; send fewer rows at a time")


def warm() -> None:
    """Compile now."""
    check(b"[]")


@compiled
def _measure(text: Any, max_depth: int, max_containers: int) -> tuple[int, int]:
    """(deepest, containers), counted until one of them exceeds its limit."""
    depth = deepest = containers = 0
    in_string = escaped = False
    for byte in text:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 92:  # backslash
                escaped = True
            elif byte == 34:
                in_string = False
        elif byte == 34:  # quotation mark
            in_string = True
        elif byte == 91 or byte == 123:  # [ {
            depth += 1
            containers += 1
            deepest = max(deepest, depth)
            if deepest > max_depth or containers > max_containers:
                break
        elif byte == 93 or byte == 125:  # ] }
            depth -= 1
    return deepest, containers
