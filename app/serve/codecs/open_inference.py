"""The Open Inference Protocol, version 2, over HTTP: decodes inference requests, encodes inference responses.

Rows come as one tensor ``features`` [rows, features] in the contract's order, or as one tensor a feature, by name. The response
has the tensor ``score`` [rows], FP32, and the other outputs of ``open_inference_outputs``.

The request determines the form of its response (its id, which outputs, as JSON or as bytes), so each request has a codec of its
own, which stores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from isal import isal_zlib

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound
from app.serve.codecs.body import number_up_to
from app.serve.codecs.codec import Codec
from app.serve.codecs.columns import ContractMismatch
from app.serve.codecs.jit import json_limits
from app.serve.codecs.open_inference_outputs import REASONS, OutputRequest, read_output_request, written
from app.serve.codecs.tensors import Array, Tensor, columns, read
from app.serve.rows import Reply, Rows, Scored
from sagemaker_entry.contract import Contract, ContractViolation
from sagemaker_entry.model import Matrix, encode_columns, encode_rows

LENGTH_HEADER = "inference-header-content-length"
MATRIX = "features"

#: The encodings of a response, each with its parameter for zlib.
_WINDOWS = {"gzip": 31, "deflate": 15}
#: ISA-L's second fastest level: responses are as small as those of zlib's fastest, in about a quarter of its time.
_PACKING_LEVEL = 1


def check_version(live: LiveVersion, version: str) -> None:
    """Raise NotFound if the path names another ``version`` than the live one."""
    if version and version != live.version:
        raise NotFound(f"the live version of model {live.model} is {live.version}, not the one in the path")


def open_inference(version: str = "") -> Codec:
    """The codec of one request. ``version``: as in the path, empty for the live one."""
    exchange = _OpenInference(version)
    return Codec(exchange.decode, exchange.encode, version, binary=True)


class _OpenInference:
    """One request and its response. ``version``: as in the path, empty for the live one."""

    def __init__(self, version: str = "") -> None:
        self._version = version
        self._wanted = OutputRequest(None, {})
        self._encoding = ""

    def decode(self, body: bytes, live: LiveVersion, headers: Mapping[str, str], _: int = 0) -> Rows:
        """The rows of a request, in order. Raises CallerError, which names the faulty input, and NotFound for another version.

        A row that cannot be scored fails the request, whatever the version's rules say, because a score has no NULL. The number of
        rows needs no limit here: no value can be absent, so the body bounds them.
        """
        check_version(live, self._version)
        document, raw = _split(body, headers.get(LENGTH_HEADER))
        accepted = headers.get("accept-encoding", "")
        # Only a single encoding counts: the lists that HTTP libraries send by default would cost more time than they save.
        self._encoding = accepted if accepted in _WINDOWS else ""
        self._wanted = read_output_request(document, live)
        return _rows(live, _inputs(document, raw, live), explain=REASONS in self._wanted.outputs)

    def encode(self, scored: Scored, _: Rows, live: LiveVersion) -> Reply:
        """The inference response."""
        outputs, raw = written(self._wanted, scored, live)
        version = scored.version(live.version)
        answer: dict[str, Any] = {"model_name": live.model, "model_version": version, "outputs": outputs}
        answer |= {"id": self._wanted.id} if self._wanted.id is not None else {}
        head = orjson.dumps(answer)
        if not raw:
            return self._packed(head, "application/json", ())
        return self._packed(b"".join((head, *raw)), "application/octet-stream", ((LENGTH_HEADER, str(len(head))),))

    def _packed(self, body: bytes, media_type: str, headers: tuple[tuple[str, str], ...]) -> Reply:
        if not self._encoding:
            return Reply(body, media_type, headers)
        packed = isal_zlib.compress(body, _PACKING_LEVEL, _WINDOWS[self._encoding])
        return Reply(packed, media_type, (*headers, ("content-encoding", self._encoding)))


def _split(body: bytes, length: str | None) -> tuple[Mapping[str, Any], memoryview]:
    """The JSON at the start, and the bytes after it."""
    size = len(body)
    if length is not None:
        found = number_up_to(length, len(body))
        if found is None:
            raise CallerError(f"the header {LENGTH_HEADER} must be the length of the JSON at the start of the body")
        size = found
    view = memoryview(body)
    json_limits.check(view[:size])
    try:
        document = orjson.loads(view[:size])
    except orjson.JSONDecodeError as fault:
        raise CallerError(f"the body is not valid JSON (at character {fault.pos})") from None
    if not isinstance(document, dict):
        raise CallerError("the body must be a JSON object")
    return document, view[size:]


def _inputs(document: Mapping[str, Any], raw: memoryview, live: LiveVersion) -> list[Tensor]:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(item, dict) for item in inputs):
        raise CallerError('the body must have an array "inputs" of tensors')
    most = len(live.contract.names) + 1
    if len(inputs) > most:
        raise ContractMismatch(
            f"{len(inputs)} inputs were sent, the model has at most {most}: one a feature, and its key"
        )
    tensors, at = [], 0
    for item in inputs:
        tensor, at = read(item, raw, at)
        tensors.append(tensor)
    if at != len(raw):
        raise CallerError(f"{len(raw) - at} bytes after the inputs belong to none of them")
    return tensors


def _rows(live: LiveVersion, tensors: list[Tensor], *, explain: bool) -> Rows:
    contract, raw = live.contract, all(tensor.raw for tensor in tensors)
    if len(tensors) == 1 and tensors[0].name == MATRIX and MATRIX not in contract.names:
        return Rows(_matrix(live, tensors[0]), compiled=raw, explain=explain)
    found, _ = columns(tensors)
    keys = found.pop(live.key).tolist() if live.key and live.key in found else None
    try:
        return Rows(encode_columns(contract, found), keys, compiled=raw, explain=explain)
    except ContractViolation as violation:
        raise _unfit(contract, found, violation) from None


def _unfit(contract: Contract, found: Mapping[str, Array], violation: ContractViolation) -> ContractMismatch:
    """``violation``, with the first faulty row if it is the fault of one row."""
    if found.keys() != set(contract.names):
        return ContractMismatch(str(violation))
    _, faults = encode_rows(contract, list(zip(*(found[name].tolist() for name in contract.names), strict=True)))
    row = min(faults, default=None)
    return ContractMismatch(str(violation) if row is None else f"row {row}: {faults[row]}")


def _matrix(live: LiveVersion, tensor: Tensor) -> Matrix:
    names, values = live.contract.names, tensor.values
    if live.contract.has_categories:
        raise ContractMismatch(f"the model has text features; send one tensor a feature instead of {MATRIX}")
    if tensor.datatype == "BYTES" or values.ndim != 2 or values.shape[1] != len(names):  # [rows, features]
        raise ContractMismatch(f"input {MATRIX} must be numbers of the shape [rows, {len(names)}]")
    with np.errstate(over="ignore"):
        matrix: Matrix = values.astype(np.float32, copy=False)
    if (wide := np.isinf(matrix)).any():
        row, column = np.argwhere(wide)[0]
        raise ContractMismatch(
            f"row {row}: feature {names[column]} has a value that is infinite or beyond the range of a 32-bit float"
        )
    return matrix
