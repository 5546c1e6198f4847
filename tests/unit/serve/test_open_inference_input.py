"""Inference requests of the Open Inference Protocol that are wrong: each is refused as the caller's error, whatever is wrong."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import orjson
import pytest

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.codecs.columns import ContractMismatch
from app.serve.codecs.open_inference import LENGTH_HEADER, open_inference
from app.serve.rows import Rows, Scored
from sagemaker_entry.contract import Column, Contract

from .fakes import live_version

MIXED = Contract((Column("A"), Column("PLAN", "category", ("free", "paid"))), key=("ID",), label="L")
LIVES = [live_version(), live_version(key="CUSTOMER_ID"), live_version(contract=MIXED, key="ID")]

LARGEST = 2**63 - 1
#: Shapes without values, which numpy refuses if the other extent is beyond 64 bits.
EMPTY = [[LARGEST, 0], [0, LARGEST], [2**63, 0], [0, 2**63], [2**64 - 1, 0], [0, 2**62], [2**62, 0], [2**31, 0]]


def decode(document: Any, live: LiveVersion, raw: bytes = b"", length: str | None = None) -> Rows:
    """The rows of a request, whose reply is encoded, too."""
    head = orjson.dumps(document)
    headers = {LENGTH_HEADER: length if length is not None else str(len(head))} if raw or length is not None else {}
    codec = open_inference()
    rows = codec.decode(head + raw, live, headers)
    codec.encode(Scored(np.zeros(len(rows), dtype=np.float32)), rows, live)
    return rows


def features(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "features", "datatype": "FP32", **fields}]}


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "UINT8", "BOOL", "BYTES"])
@pytest.mark.parametrize("shape", EMPTY, ids=str)
def test_an_empty_tensor_of_an_impossible_shape_is_refused(shape: list[int], datatype: str) -> None:
    for values in ({"data": []}, {"parameters": {"binary_data_size": 0}}):
        for name in ("features", "SPENT"):
            tensor = {"name": name, "datatype": datatype, "shape": shape, **values}
            with pytest.raises(CallerError, match=r"the shape must be|must be numbers|missing"):
                decode({"inputs": [tensor]}, LIVES[0])


@pytest.mark.parametrize("length", ["9" * 5000, "1" + "0" * 4300, "-1", "+1", " 1", "1e3", "0x1", "", "²", "1_0"])
def test_a_length_header_that_is_no_length_is_refused(length: str) -> None:
    with pytest.raises(CallerError, match="must be the length of the JSON"):
        decode(features(shape=[1, 3], data=[1, 2, 3]), LIVES[0], length=length)


def test_a_length_with_leading_zeros_is_a_length() -> None:
    document = features(shape=[1, 3], data=[1, 2, 3])
    assert len(decode(document, LIVES[0], length="0" * 5000 + str(len(orjson.dumps(document))))) == 1


@pytest.mark.parametrize("live", LIVES)
def test_more_inputs_than_the_model_can_have_are_refused_before_they_are_read(live: LiveVersion) -> None:
    unreadable = [{"name": f"X{number}"} for number in range(12_000)]
    with pytest.raises(
        ContractMismatch, match=f"12000 inputs were sent, the model has at most {len(live.contract.names) + 1}:"
    ):
        decode({"inputs": unreadable}, live)


ODD: list[Any] = [None, True, 0, 1.5, "x", "", [], {}, [[]], [1]]
EXTENTS = [0, 1, 2, 3, -1, 2**31, 2**32, 2**62, LARGEST, 2**63, 2**64 - 1]
VALUES = [0, 1, -1, 1.5, 1e308, 1e39, 65505.0, True, None, "free", "", 2**63, 2**64 - 1, -(2**63), [1], {}, [[1]]]
TYPES = ["BOOL", "INT8", "UINT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16", "", None, 3]
NAMES = ["features", "SPENT", "A", "PLAN", "CUSTOMER_ID", "ID", "", "é", "score", None, 1, []]


def valid(live: LiveVersion, chance: random.Random) -> dict[str, Any]:
    rows = chance.choice([1, 2, 3])
    if not live.contract.has_categories and chance.random() < 0.5:
        return features(shape=[rows, len(live.contract.names)], data=[1.5] * rows * len(live.contract.names))
    shape = chance.choice([[rows], [rows, 1]])
    inputs = [
        {"name": column.name, "datatype": "BYTES", "shape": shape, "data": ["free"] * rows}
        if column.dtype == "category"
        else {"name": column.name, "datatype": "FP32", "shape": shape, "data": [1.5] * rows}
        for column in live.contract.columns
    ]
    if live.key and chance.random() < 0.7:
        inputs.append({"name": live.key, "datatype": "INT64", "shape": [rows], "data": [7] * rows})
    return {"inputs": inputs}


def mutate(document: dict[str, Any], chance: random.Random) -> None:
    tensor = chance.choice(document["inputs"])
    match chance.randrange(8):
        case 0:
            tensor["shape"] = chance.choice([[chance.choice(EXTENTS) for _ in range(chance.randrange(4))], *ODD])
        case 1:
            tensor["data"] = chance.choice([[chance.choice(VALUES) for _ in range(chance.randrange(5))], *ODD])
        case 2:
            tensor["datatype"] = chance.choice(TYPES)
        case 3:
            tensor["name"] = chance.choice(NAMES)
        case 4 | 5:
            tensor.pop("data", None)
            tensor["parameters"] = chance.choice(
                [{"binary_data_size": chance.choice([0, 4, 12, *EXTENTS, *ODD])}, *ODD]
            )
            tensor["shape"] = [chance.choice(EXTENTS) for _ in range(chance.choice([1, 2]))]
        case 6:
            document["inputs"].append(copy.deepcopy(tensor))
        case _:
            document[chance.choice(["outputs", "id", "parameters", "inputs"])] = chance.choice(
                [
                    *ODD,
                    [{"name": "score", "parameters": chance.choice(ODD)}],
                    {"binary_data_output": chance.choice(ODD)},
                ]
            )


@pytest.mark.parametrize("seed", range(4))
def test_a_request_is_decoded_or_refused_whatever_is_changed_in_it(seed: int) -> None:
    chance = random.Random(seed)
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(1000):
        live = chance.choice(LIVES)
        document = valid(live, chance)
        for _ in range(chance.randrange(3)):
            inputs = document.get("inputs")
            if inputs and isinstance(inputs, list) and all(isinstance(each, dict) for each in inputs):
                mutate(document, chance)
        raw = chance.choice([b"", b"", bytes(8), bytes(12), b"\1\0\0\0x", b"\xff" * 4])
        try:
            rows = decode(document, live, raw)
        except CallerError:
            outcomes["refused"] += 1
        else:
            outcomes["decoded"] += 1
            assert (rows.matrix.dtype, rows.matrix.shape[1]) == (np.float32, len(live.contract.names))
            assert not np.isinf(rows.matrix).any()
    assert min(outcomes.values()) > 100, outcomes
