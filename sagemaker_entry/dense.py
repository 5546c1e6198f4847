"""A float32 matrix -> XGBoost's predictions, by the C call that ``Booster.inplace_predict`` makes, without its Python.

``inplace_predict`` looks for a dozen kinds of data frames before it calls; for a single row that is half of the time. The call is
the same, and so is every bit of the answer.

The one surprise: the answer's memory is XGBoost's, one buffer a thread and booster, so it is copied before anything else is called.
"""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xgboost

Matrix = npt.NDArray[np.float32]

#: As ``inplace_predict`` gives them: transformed predictions of all trees, NaN is missing.
_VALUE = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "missing": float("nan")}
_ARGUMENTS = json.dumps(_VALUE | {"strict_shape": False, "cache_id": 0}).encode()
_INTERFACE = '{"data": [%d, true], "typestr": "<f4", "shape": [%d, %d], "version": 3}'


def predict(booster: xgboost.Booster, matrix: Matrix) -> Matrix:
    """Predictions for ``matrix`` [rows, features], C order, in its order: [rows], or [rows, classes]. Safe in many threads."""
    from xgboost.core import _LIB, _check_call

    interface = (_INTERFACE % (matrix.ctypes.data, *matrix.shape)).encode()
    shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
    values = ctypes.POINTER(ctypes.c_float)()
    _check_call(
        _LIB.XGBoosterPredictFromDense(
            booster.handle,
            interface,
            _ARGUMENTS,
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(values),
        )
    )
    extents = tuple(shape[: dimensions.value])
    size = int(np.prod(extents))
    answer = np.empty(extents, dtype=np.float32)
    ctypes.memmove(answer.ctypes.data, values, 4 * size)
    return answer
