"""The outputs of an inference response: which ones a version has, which ones a request asks for, and how they are written.

``score`` is FP32 [rows]. If the pipeline's ``serving`` settings say ``output: variant``, there are ``label`` and ``reasons``
too, if the version has them, both BYTES [rows]; a row's reasons are JSON, the same as in the other formats. In an
experiment the version of each row is in ``version``, BYTES [rows].

A request that names no outputs gets all, as the protocol says. A caller who wants the scores of a version with reasons, but not
the time that reasons cost, names ``score``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.codecs import outputs
from app.serve.rows import Scored

SCORE, LABEL, REASONS, VERSION = "score", "label", "reasons", "version"
_ONLY_SCORE = {SCORE: "FP32"}


@dataclass(slots=True)
class OutputRequest:
    """What a request asks for. ``outputs``: whether each is written as bytes, in the order of the response; ``id``: returned
    unchanged.
    """

    id: str | None
    outputs: Mapping[str, bool]


def datatypes(live: LiveVersion) -> Mapping[str, str]:
    """The outputs of a version, each with its datatype."""
    rules, several = live.rules, bool(live.shares)
    if rules.output == "number" and not several:
        return _ONLY_SCORE
    objects = rules.output == "variant"
    more = {
        LABEL: objects and rules.labels is not None and rules.threshold is not None,
        REASONS: objects and rules.reasons > 0,
        VERSION: several,
    }
    return _ONLY_SCORE | {name: "BYTES" for name, there in more.items() if there}


def read_output_request(document: Mapping[str, Any], live: LiveVersion) -> OutputRequest:
    """What the request in ``document`` asks for. Raises CallerError, which names the fault."""
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise CallerError("the id must be a text")
    binary = _boolean(_parameters(document), "binary_data_output", default=False)
    known, wanted = datatypes(live), document.get("outputs")
    if wanted is None:
        return OutputRequest(request_id, dict.fromkeys(known, binary))
    if not isinstance(wanted, list) or not all(isinstance(output, dict) for output in wanted):
        raise CallerError("outputs must be an array of objects")
    found: dict[str, bool] = {}
    for output in wanted:
        name = output.get("name")
        if not isinstance(name, str) or name not in known:
            raise CallerError(f"the outputs of model {live.model} are: {', '.join(known)}")
        if name in found:
            raise CallerError(f"output {name} is named twice")
        wanted = _parameters(output)
        if set(wanted) - {"binary_data"}:
            raise CallerError(f"of an output's parameters only binary_data is supported (output {name})")
        found[name] = _boolean(wanted, "binary_data", default=binary)
    return OutputRequest(request_id, found or dict.fromkeys(known, binary))


def written(wanted: OutputRequest, scored: Scored, live: LiveVersion) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The outputs as JSON, and the bytes that follow the JSON, in the same order."""
    tensors: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, binary in wanted.outputs.items():
        values = scored.scores.astype(np.float32, copy=False) if name == SCORE else _texts(name, scored, live)
        tensor: dict[str, Any] = {"name": name, "datatype": _ONLY_SCORE.get(name, "BYTES"), "shape": [len(values)]}
        if binary:
            raw.append(values.tobytes() if isinstance(values, np.ndarray) else _packed(values))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = values.astype(np.float64).tolist() if isinstance(values, np.ndarray) else values
        tensors.append(tensor)
    return tensors, raw


def _texts(name: str, scored: Scored, live: LiveVersion) -> list[str]:
    if name == LABEL:
        return outputs.labels(scored.scores.astype(np.float64), live.rules) or []
    if name == VERSION:
        return scored.assignment.versions() if scored.assignment is not None else [live.version] * len(scored.scores)
    assert scored.reasons is not None
    return [orjson.dumps(row).decode() for row in outputs.reasons(scored.reasons, live.contract.names)]


def _packed(values: list[str]) -> bytes:
    """Texts, each preceded by its length in four bytes."""
    encoded = [text.encode() for text in values]
    return b"".join(part for text in encoded for part in (len(text).to_bytes(4, "little"), text))


def _parameters(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = fields.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise CallerError("parameters must be an object")
    return parameters or {}


def _boolean(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise CallerError(f"the parameter {name} must be true or false")
    return value
