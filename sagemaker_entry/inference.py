"""The endpoint's code: ``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn`` of the XGBoost container's script mode.

A request is a float32 matrix as ``application/x-npy; contract=<fingerprint>``; the response is float32 scores [rows] as
``application/x-npy``. With ``; reasons=3``, the response is a float32 table [rows, 1 + 2 * 3]: the score, the leading features'
columns, and their contributions.

An exception in any of these functions becomes HTTP 500, which callers retry. So a request that can never succeed
becomes a ``Refusal``, which is passed on to ``output_fn`` and answered 400 with a short text.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sagemaker_entry import npy
from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.model import Matrix, Model

_COUNT = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class Payload:
    """A decoded request: the matrix, the fingerprint of the sender's contract, and the number of reasons to return."""

    matrix: Matrix
    fingerprint: str
    reasons: int = 0


@dataclass(frozen=True)
class Refusal:
    """Why a request cannot be answered, now or later."""

    reason: str


def model_fn(model_dir: str) -> Model:
    """The model in ``model_dir``. One thread for each prediction: the container runs as many workers as it has cores."""
    return Model.load(Path(model_dir), threads=int(os.environ.get("OMP_NUM_THREADS", "1")))


def input_fn(body: bytes, content_type: str) -> Payload | Refusal:
    """The request's body as a matrix [rows, features], or the reason why it cannot be read."""
    media_type, contract, reasons = _parts(content_type)
    if media_type != npy.CONTENT_TYPE:
        return Refusal(f"the content type must be {npy.CONTENT_TYPE}; contract=<fingerprint>")
    try:
        matrix = npy.decode(body)
    except ValueError:
        return Refusal("the body is not a numpy array")
    if matrix.dtype != np.float32:
        return Refusal(f"the array must be float32, not {matrix.dtype}")
    if not _COUNT.fullmatch(reasons):
        return Refusal("reasons must be a number of at most three digits")
    return Payload(matrix, contract, int(reasons))


@lru_cache(maxsize=64)
def _parts(content_type: str) -> tuple[str, str, str]:
    """Media type, contract and reasons of a content type. All requests of a version have the same one."""
    header = Message()
    header["content-type"] = content_type
    return header.get_content_type(), str(header.get_param("contract", "")), str(header.get_param("reasons", "0"))


def predict_fn(payload: Payload | Refusal, model: Model) -> Matrix | Refusal:
    """Scores [rows], or a table with reasons, in the matrix's order; refused if the sender's contract is not the model's."""
    if isinstance(payload, Refusal):
        return payload
    if payload.fingerprint != model.contract.fingerprint:
        return Refusal(
            f"the payload is made to contract {payload.fingerprint or '(none)'}, this model is of {model.contract.fingerprint}"
        )
    try:
        scores = model.predict(payload.matrix)
        if not payload.reasons:
            return scores
        reasons = model.reasons(payload.matrix, payload.reasons)
        return np.column_stack([scores, reasons.features.astype(np.float32), reasons.contributions])
    except ContractViolation as violation:
        return Refusal(str(violation))


def output_fn(prediction: Matrix | Refusal, accept: str) -> Any:  # noqa: ARG001  # the container passes it; there is one format
    """(body, content type) of a result; a response with status 400 for a refusal."""
    if isinstance(prediction, Refusal):
        from flask import Response  # the container's web framework; not needed anywhere else

        return Response(prediction.reason, status=400, mimetype="text/plain")
    return npy.encode(prediction), npy.CONTENT_TYPE
