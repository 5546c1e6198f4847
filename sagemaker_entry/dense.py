"""Predicts for a float32 matrix by the C function behind ``Booster.inplace_predict``, without the Python code around it.

``inplace_predict`` checks for a dozen kinds of data frames, and has XGBoost make a new proxy of the data for each call, for
which XGBoost reads the machine's CPU limits from the file system. Both together take ten times as long as the trees of a single
row. The call here is the same, and so is every bit of the result; each thread keeps one proxy.

The result's memory is a buffer of XGBoost's, one for each thread and booster, so it is copied before the next call.
"""

from __future__ import annotations

import ctypes
import json
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xgboost

Matrix = npt.NDArray[np.float32]

#: As ``inplace_predict`` sets them: transformed predictions of all trees, NaN is missing.
_VALUE = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "missing": math.nan}
_ARGUMENTS = json.dumps(_VALUE | {"strict_shape": False, "cache_id": 0}).encode()
_INTERFACE = b'{"data": [%d, true], "typestr": "<f4", "shape": [%d, %d], "version": 3}'

_of_thread = threading.local()


class _Proxy:
    """XGBoost's proxy for data that stays where it is."""

    def __init__(self) -> None:
        from sagemaker_entry.engine import xgboost

        self.library, self.check = xgboost.core._LIB, xgboost.core._check_call
        self.handle = ctypes.c_void_p()
        self.check(self.library.XGProxyDMatrixCreate(ctypes.byref(self.handle)))
        self.shape, self.dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self.values = ctypes.POINTER(ctypes.c_float)()
        self.results = [ctypes.byref(item) for item in (self.shape, self.dimensions, self.values)]

    def __del__(self) -> None:
        self.library.XGDMatrixFree(self.handle)


def predict(booster: xgboost.Booster, matrix: Matrix) -> Matrix:
    """Predictions for ``matrix`` [rows, features], C order, in its order: [rows], or [rows, classes]. Thread-safe."""
    proxy: _Proxy | None = getattr(_of_thread, "proxy", None)
    if proxy is None:
        proxy = _of_thread.proxy = _Proxy()
    interface = _INTERFACE % (matrix.ctypes.data, *matrix.shape)
    call = proxy.library.XGBoosterPredictFromDense
    proxy.check(call(booster.handle, interface, _ARGUMENTS, proxy.handle, *proxy.results))
    answer = np.empty(proxy.shape[: proxy.dimensions.value], dtype=np.float32)
    ctypes.memmove(answer.ctypes.data, proxy.values, answer.nbytes)
    return answer
