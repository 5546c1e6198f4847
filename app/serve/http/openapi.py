"""The texts of ``/docs``: what each route takes and answers, for the bodies that are read without a model class.

Bodies are read as bytes, since a model class costs several microseconds for each row; so the schemas are written here.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.serve.codecs.open_inference_outputs import LABEL, REASONS, SCORE
from app.serve.http import openapi_faults
from app.serve.http.openapi_faults import header
from app.serve.security import credentials

Responses = dict[int | str, dict[str, Any]]

TITLE = "snowsage"
DESCRIPTION = (
    "Online predictions: Snowflake external functions and a direct HTTP API. Every path but the liveness check needs the "
    "header `x-snowsage-secret`, or an API key (`Authorization: Bearer` or `x-api-key`) with the scope predict, run (what "
    "changes something) or read. Answers carry `X-Snowsage-Version`, the version that answered, and `X-Snowsage-Variant`."
)

_NUMBERED_ROW = {"type": "array", "prefixItems": [{"type": "integer", "minimum": 0}], "minItems": 1}
_BATCH = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "array", "items": _NUMBERED_ROW}},
    "examples": [{"data": [[0, 41.5, 3, None], [1, 12.0, 0, 7.5]]}],
}
_SCORED_BATCH = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "array",
            "items": {"type": "array", "minItems": 2, "maxItems": 2, "description": "The row's number, its answer."},
        }
    },
    "examples": [{"data": [[0, 0.12345679], [1, 0.5]]}],
}
_NAMED_ROWS = {
    "type": "object",
    "required": ["rows"],
    "properties": {"rows": {"type": "array", "items": {"type": "object"}}},
    "examples": [{"rows": [{"TOTAL_SPENT": 41.5, "ORDERS": 3, "DAYS_SINCE_ORDER": None}]}],
}
_PREDICTIONS = {
    "type": "object",
    "required": ["model", "version", "predictions"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "string", "description": "As in the header X-Snowsage-Version."},
        "versions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Only in an experiment: the version of each row.",
        },
        "predictions": {"type": "array", "items": {"type": ["number", "object", "null"]}},
    },
}
_LIVE = {
    "type": "object",
    "required": ["model", "version", "fingerprint", "endpoint"],
    "properties": {
        **{name: {"type": "string"} for name in ("model", "version", "fingerprint", "endpoint")},
        "live_from_s": {"type": "number", "description": "From when on it answers, in seconds since 1970."},
    },
}
_READY = {
    "type": "object",
    "required": ["ready"],
    "properties": {"ready": {"type": "boolean"}, "reason": {"type": "string"}},
}
_LIVING = {"type": "object", "required": ["live"], "properties": {"live": {"type": "boolean"}}}


def _json(description: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _body(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, **_json(description, schema)}}


def _listed(**properties: str) -> dict[str, Any]:
    """An object that has all of ``properties``, given with their types."""
    return {
        "type": "object",
        "required": [*properties],
        "properties": {name: {"type": kind} for name, kind in properties.items()},
    }


_PREDICTED = {
    "X-Snowsage-Version": header(
        "The version that answered; in an experiment, where several did, all of them with their rows: `1.0;rows=90, 1.1;rows=10`."
    ),
    "X-Snowsage-Variant": header(
        "The endpoint's production variant that scored, or all, in the order of the versions; not where the service scores itself.",
        required=False,
    ),
    "Content-MD5": header("Of the body as it is sent, in base64.", type="string", pattern="^[A-Za-z0-9+/]{22}==$"),
}
INFERENCE_TEXT = (
    "The Open Inference Protocol, version 2. Inputs: one tensor `features` [rows, features] in the contract's order, or one tensor "
    "a feature, by name; as JSON or by the binary tensor data extension (`Inference-Header-Content-Length`). Outputs: `score`, "
    "FP32, and, where the model's `serving` settings have them, `label` and `reasons`, BYTES; in an experiment `version`, BYTES; "
    "all of them where the request names no `outputs`. A row that is wrong fails the request and is named, whatever those settings "
    "say."
)
_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"enum": [SCORE, LABEL, REASONS]},
        "parameters": {
            "type": ["object", "null"],
            "properties": {"binary_data": {"type": "boolean"}},
            "additionalProperties": False,
        },
    },
}
INFERENCE_BODY = _body(
    "An inference request.",
    {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "items": _TENSOR, "minItems": 1},
            "outputs": {"type": ["array", "null"], "items": _OUTPUT},
            "parameters": {"type": ["object", "null"]},
        },
        "examples": [{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [41.5, 3, None]}]}],
    },
)
_INFERRED = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
INFERENCE_RESPONSES: Responses = {
    200: {
        "headers": {
            **_PREDICTED,
            "Inference-Header-Content-Length": header(
                "The length of the JSON.", required=False, type="integer", minimum=0
            ),
            "Content-Encoding": header("As asked for.", required=False, type="string", enum=["gzip", "deflate"]),
        },
        "description": "One value a row and output, in order; where binary data is asked for, JSON with the bytes behind it.",
        "content": {"application/json": {"schema": _INFERRED}, "application/octet-stream": {}},
    },
}
BATCH_TEXT = (
    "Score a batch of a Snowflake external function. The header `sf-external-function-signature` matches arguments to features "
    "by name; without it they are taken in the contract's order, after the key where the model has one."
)
NAMED_TEXT = "Score rows given by column name."
BATCH_BODY = _body(
    "A batch as Snowflake sends it: row number, then the arguments, or one object of named features. Row numbers ascend "
    "from 0 by 1. May be compressed with gzip or deflate.",
    _BATCH,
)
BATCH_ID = {
    "name": "sf-external-function-query-batch-id",
    "in": "header",
    "required": False,
    "description": "Names the batch. Sent again under its name, a batch gets the answer of the first time, byte for byte.",
    "schema": {"type": "string"},
}
POLL_TEXT = (
    "What became of a batch that was answered 202: 202 while it is scored; then, the same to all who ask, its scores, or the "
    "status and the error that it failed with. 404 for a batch that was never answered 202."
)
_PENDING = {"type": "object", "maxProperties": 0}
BATCH_RESPONSES: Responses = {
    200: {
        **_json(
            "One answer a row, a score or what the pipeline's serving settings make of it; numbers and order as in the request.",
            _SCORED_BATCH,
        ),
        "headers": _PREDICTED,
    },
    202: _json("The batch takes longer than a request may; ask for it with GET and the same headers.", _PENDING),
}
NAMED_BODY = _body(
    "Rows by column name. All of the model's features must be there, a missing value as null; the entity's key may be. "
    "A name that the model does not have as it is written is tried in upper case.",
    _NAMED_ROWS,
)
NAMED_RESPONSES: Responses = {200: {**_json("One prediction a row, in order.", _PREDICTIONS), "headers": _PREDICTED}}
REFRESH_RESPONSES: Responses = {200: _json("What the service serves from now on.", _LIVE)}
METRICS_RESPONSES: Responses = {
    200: {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
}
PROBLEM_TYPES_RESPONSES: Responses = {
    200: {"description": "An explanation for people.", "content": {"text/plain": {"schema": {"type": "string"}}}},
}
LIVE_RESPONSES: Responses = {200: _json("The process answers.", _LIVING)}
READY_RESPONSES: Responses = {
    200: _json("All is prepared: requests may be sent here.", _READY),
    503: _json("Something is not prepared yet, or the process is about to end, and which.", _READY),
}
_TENSORS = {"type": "array", "items": {"type": "object", "required": ["name", "datatype", "shape"]}}
_MODEL = _listed(name="string", platform="string", versions="array", inputs="array", outputs="array")
_MODEL["properties"] |= {"inputs": _TENSORS, "outputs": _TENSORS}
SERVER_RESPONSES: Responses = {200: _json("The server.", _listed(name="string", version="string", extensions="array"))}
MODEL_RESPONSES: Responses = {200: _json("The model, and the outputs that it has.", _MODEL)}
MODEL_READY_RESPONSES: Responses = {200: _json("It answers.", _listed(name="string", ready="boolean"))}
INDEX_RESPONSES: Responses = {
    200: _json("Every model.", {"type": "array", "items": _listed(name="string", version="string", state="string")})
}


# Any one of them opens every path but the liveness check, where `Edge` asks, also on paths that do not exist.
_CREDENTIALS = {
    "Secret": {"type": "apiKey", "in": "header", "name": credentials.HEADER},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe(app: FastAPI) -> None:
    """Have ``app`` describe its credentials, and the routes that answer on bare ASGI beside those that the framework knows."""
    generate = app.openapi
    inference = (INFERENCE_TEXT, INFERENCE_BODY, INFERENCE_RESPONSES)

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            schema["paths"] = {
                "/predict/{model}": _batches(),
                "/models/{model}/predict": _operation("predict_named", NAMED_TEXT, NAMED_BODY, NAMED_RESPONSES),
                "/v2/models/{model}/infer": _operation("infer", *inference),
                "/v2/models/{model}/versions/{version}/infer": _operation("infer_version", *inference, "version"),
                **schema["paths"],
            }
            # The framework tells of an answer of its own to parameters that are wrong, and here none can be.
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            schema["components"] = {"securitySchemes": _CREDENTIALS}
            schema["security"] = [{name: []} for name in _CREDENTIALS]
            schema["paths"]["/v2/health/live"]["get"]["security"] = []
            openapi_faults.describe(schema)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # the framework's documented way


def _batches() -> dict[str, Any]:
    send = _operation("predict_batch", BATCH_TEXT, BATCH_BODY, BATCH_RESPONSES)["post"]
    poll = _operation("poll_batch", POLL_TEXT, {}, BATCH_RESPONSES)["post"]
    send["parameters"].append(BATCH_ID)
    asked = {"description": "The batch that was answered 202.", "schema": {"type": "string", "minLength": 1}}
    poll["parameters"].append({**BATCH_ID, "required": True, **asked})
    return {"post": send, "get": poll}


def _operation(name: str, text: str, body: dict[str, Any], responses: Responses, *in_path: str) -> dict[str, Any]:
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}} for part in ("model", *in_path)
    ]
    answers = {str(code): answer for code, answer in responses.items()}
    operation = {"operationId": name, "description": text, "parameters": parameters, **body, "responses": answers}
    return {"post": operation}
