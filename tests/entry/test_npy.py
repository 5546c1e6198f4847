"""The .npy format: equal to numpy's own, also from several threads, and strict."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sagemaker_entry import npy

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", "|i1", "<i8", "|b1"])


@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))), st.booleans())
def test_arrays_are_read_as_numpy_reads_them(array: Any, columns_first: bool) -> None:
    body = npy.encode(np.asfortranarray(array) if columns_first else array)
    found, expected = npy.decode(body), np.load(io.BytesIO(body))
    assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@given(
    DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))),
    st.sampled_from([np.ascontiguousarray, np.asfortranarray, lambda array: array[..., ::2] if array.ndim else array]),
)
def test_arrays_are_written_as_numpy_writes_them(array: Any, arranged: Any) -> None:
    expected = io.BytesIO()
    np.save(expected, arranged(array))
    assert npy.encode(arranged(array)) == expected.getvalue()


def test_many_threads_read_at_the_same_time() -> None:
    bodies = [npy.encode(np.arange(count, dtype=np.float32)) for count in range(1, 2000)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(npy.decode, bodies))
    assert [len(array) for array in found] == list(range(1, 2000))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + b"\x00" * 8,
        npy.encode(np.zeros(3))[:-1],
        npy.encode(np.zeros(3)) + b"x",
        npy.encode(np.zeros(3))[:40],
        npy.encode(np.array(["text"])),
        npy.encode(np.zeros(2, dtype=[("a", "<f4"), ("b", "<f4")])),
        npy.encode(np.zeros(3)).replace(b"(3,)", b"(1e)"),
        npy.encode(np.zeros(3)).replace(b"(3,), }", b"(3,), 1"),
        npy.encode(np.zeros(3)).replace(b"<f8", b"<f9"),
        npy.encode(np.zeros(3)).replace(b"(3,), }" + b" " * 18, b"(999999999999999999, 9), }"[:25]),
        b"PK\x03\x04 an archive of arrays",
    ],
)
def test_anything_else_is_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        npy.decode(body)
