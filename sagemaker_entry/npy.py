"""numpy's .npy format, in which endpoints and the service exchange arrays of numbers.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. numpy's own reader evaluates the header with
``ast``, whose parser now and then raises SystemError when several threads use it (Python 3.11), and is several times slower.
"""

from __future__ import annotations

import io
import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

CONTENT_TYPE = "application/x-npy"
#: More than the header of any array that is sent.
MAX_HEADER_BYTES = 256

_MAGIC = b"\x93NUMPY"
# By major version: the bytes that hold the header's length.
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_HEADER = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[248]))', 'fortran_order': (True|False), "
    rb"'shape': \((?:(\d{1,18}(?:, \d{1,18})*),?)?\), \} *\n"
)


def encode(array: np.ndarray[Any, Any]) -> bytes:
    """The array's .npy file, as ``numpy.save`` writes it."""
    if array.flags.c_contiguous and array.dtype.kind in "biuf":
        return _head(array.dtype.str, array.shape) + array.tobytes()
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What comes before the array's bytes. Making it takes longer than copying a row."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def decode(body: bytes) -> np.ndarray[Any, Any]:
    """The array of numbers in a .npy file, over the bytes of ``body``. Raises ValueError for anything else."""
    start, end = _header(body)
    found = _HEADER.fullmatch(body, start, end)
    if found is None:
        raise ValueError("the header is not that of an array of numbers")
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(length) for length in found[3].split(b", ")) if found[3] else ()
    if len(body) - end != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(body) - end} bytes for the shape {shape}")
    return np.frombuffer(body, dtype, offset=end).reshape(shape, order="F" if found[2] == b"True" else "C")


def _header(body: bytes) -> tuple[int, int]:
    """Where the header begins and ends."""
    length_bytes = _LENGTH_BYTES.get(body[6]) if len(body) > 8 and body.startswith(_MAGIC) else None
    if length_bytes is None:
        raise ValueError("not a .npy file")
    start = 8 + length_bytes
    return start, start + int.from_bytes(body[8:start], "little")
