"""The Open Inference Protocol's format: an inference request -> rows; scores -> an inference response. Version 2, over HTTP.

Rows come as one tensor ``features`` [rows, features] in the contract's order, or as one tensor a feature, by name. The answer is
the tensor ``score`` [rows], FP32.

The one surprise: what the answer looks like stands in the request (its id, which outputs, as JSON or as bytes), so a form is made
for each request and remembers it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound
from app.serve.forms import shape
from app.serve.forms.tensors import Tensor, columns, read
from app.serve.rows import Reply, Rows, Scored
from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.model import encode_columns

LENGTH_HEADER = "inference-header-content-length"
MATRIX, OUTPUT = "features", "score"


class Exchange:
    """One request and its answer. ``version``: the one that the path asks for, empty for the live one."""

    def __init__(self, version: str = "") -> None:
        self._version = version
        self._id: str | None = None
        self._binary = False
        self._encoding = ""

    def decode(self, body: bytes, live: LiveVersion, headers: Mapping[str, str]) -> Rows:
        """The rows of a request, in order. Raises CallerError that names the input at fault, NotFound for another version."""
        if self._version and self._version != live.version:
            raise NotFound(f"version {self._version[:40]} of model {live.model} is not live; {live.version} is")
        document, raw = _split(body, headers.get(LENGTH_HEADER))
        accepted = headers.get("accept-encoding", "")
        # Exactly one word asks for it; the lists that HTTP libraries send by themselves would cost more time than they save.
        self._encoding = accepted if accepted in ("gzip", "deflate") else ""
        self._read_wishes(document)
        return _rows(live, _inputs(document, raw))

    def encode(self, scored: Scored, _: Rows, live: LiveVersion) -> Reply:
        """The inference response."""
        scores = scored.scores.astype(np.float32, copy=False)
        output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": [len(scores)]}
        answer: dict[str, Any] = {"model_name": live.model, "model_version": scored.version(live.version)}
        answer |= {"id": self._id} if self._id is not None else {}
        if not self._binary:
            output["data"] = scores.astype(np.float64).tolist()
            return self._packed(orjson.dumps({**answer, "outputs": [output]}), "application/json", ())
        output["parameters"] = {"binary_data_size": scores.nbytes}
        head = orjson.dumps({**answer, "outputs": [output]})
        return self._packed(head + scores.tobytes(), "application/octet-stream", ((LENGTH_HEADER, str(len(head))),))

    def _packed(self, body: bytes, media_type: str, headers: tuple[tuple[str, str], ...]) -> Reply:
        if not self._encoding:
            return Reply(body, media_type, headers)
        packed = gzip.compress(body, 1) if self._encoding == "gzip" else zlib.compress(body, 1)
        return Reply(packed, media_type, (*headers, ("content-encoding", self._encoding)))

    def _read_wishes(self, document: Mapping[str, Any]) -> None:
        wanted_id = document.get("id")
        if wanted_id is not None and not isinstance(wanted_id, str):
            raise CallerError("the id must be a text")
        self._id = wanted_id
        parameters = _parameters(document)
        self._binary = _yes_or_no(parameters, "binary_data_output", default=False)
        outputs = document.get("outputs")
        if outputs is None:
            return
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
            raise CallerError("outputs must be an array of objects")
        for output in outputs:
            if output.get("name") != OUTPUT:
                raise CallerError(f"the only output is {OUTPUT}")
            wishes = _parameters(output)
            if set(wishes) - {"binary_data"}:
                raise CallerError(f"of an output's parameters only binary_data is supported (output {OUTPUT})")
            self._binary = _yes_or_no(wishes, "binary_data", default=self._binary)


def _parameters(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = fields.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise CallerError("parameters must be an object")
    return parameters or {}


def _yes_or_no(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    wish = parameters.get(name, default)
    if not isinstance(wish, bool):
        raise CallerError(f"the parameter {name} must be true or false")
    return wish


def _split(body: bytes, length: str | None) -> tuple[Mapping[str, Any], memoryview]:
    """The JSON at the beginning, and the bytes behind it."""
    size = len(body)
    if length is not None:
        if not length.isdecimal() or int(length) > len(body):
            raise CallerError(f"the header {LENGTH_HEADER} must be the length of the JSON at the body's beginning")
        size = int(length)
    view = memoryview(body)
    shape.check(view[:size])
    try:
        document = orjson.loads(view[:size])
    except orjson.JSONDecodeError as fault:
        raise CallerError(f"the body is not valid JSON (at character {fault.pos})") from None
    if not isinstance(document, dict):
        raise CallerError("the body must be a JSON object")
    return document, view[size:]


def _inputs(document: Mapping[str, Any], raw: memoryview) -> list[Tensor]:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(item, dict) for item in inputs):
        raise CallerError('the body must have an array "inputs" of tensors')
    tensors, at = [], 0
    for item in inputs:
        tensor, at = read(item, raw, at)
        tensors.append(tensor)
    if at != len(raw):
        raise CallerError(f"{len(raw) - at} bytes behind the inputs belong to none of them")
    return tensors


def _rows(live: LiveVersion, tensors: list[Tensor]) -> Rows:
    contract = live.contract
    if len(tensors) == 1 and tensors[0].name == MATRIX and MATRIX not in contract.names:
        return Rows(_matrix(live, tensors[0]))
    found, _ = columns(tensors)
    keys = found.pop(live.key).tolist() if live.key and live.key in found else None
    try:
        return Rows(encode_columns(contract, found), keys)
    except ContractViolation as violation:
        raise CallerError(str(violation)) from None


def _matrix(live: LiveVersion, tensor: Tensor) -> Any:
    names, values = live.contract.names, tensor.values
    if live.contract.has_categories:
        raise CallerError(f"the model has features that are texts; send one tensor a feature in place of {MATRIX}")
    if tensor.datatype == "BYTES" or values.ndim != 2 or values.shape[1] != len(names):  # [rows, features]
        raise CallerError(f"input {MATRIX} must be numbers of the shape [rows, {len(names)}]")
    with np.errstate(over="ignore"):
        matrix = values.astype(np.float32, copy=False)
    if np.isinf(matrix).any():
        wide = np.flatnonzero(np.isinf(matrix).any(axis=0))
        listed = ", ".join(names[at] for at in wide)
        raise CallerError(f"feature {listed} has a value that is infinite or beyond the range of a 32-bit float")
    return matrix
