"""The OpenAPI document: FastAPI generates it from the signatures below, and this module adds what FastAPI cannot know.

Prediction routes are bare ASGI (``routes``). FastAPI documents them by these signatures, as if it read the bodies itself.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.routing import APIRoute
from pydantic import Field
from starlette.routing import Route
from starlette.types import ASGIApp

from app.serve.http import openapi_errors
from app.serve.http.routes import PREDICTION_ROUTES, PredictionRoute
from app.serve.http.schemas import (
    Batch,
    InferenceRequest,
    InferenceResponse,
    NamedRows,
    Pending,
    Predictions,
    ScoredBatch,
)
from app.serve.request import BATCH_HEADER
from app.serve.security import credentials

TITLE = "snowsage"
DESCRIPTION = (
    "Online predictions: Snowflake external functions and a direct HTTP API. Every path except the liveness check needs the "
    "header `x-snowsage-secret`, or an API key (`Authorization: Bearer` or `x-api-key`) with the scope predict, run (anything "
    "that changes something) or read. Predictions carry `X-Snowsage-Version`, the version that answered, and `X-Snowsage-Variant`."
)

BatchId = Annotated[
    str | None,
    Header(
        alias=BATCH_HEADER,
        description="The id of the batch. A batch that is sent again with its id gets the first response, byte for byte.",
    ),
]
DeferredBatchId = Annotated[
    str, Header(alias=BATCH_HEADER, description="The batch that was answered 202."), Field(min_length=1)
]


def predict_batch(model: str, body: Batch, batch_id: BatchId = None) -> ScoredBatch:
    """Score a batch of a Snowflake external function: row number, then the arguments, or one object of named features.

    Row numbers ascend from 0 by 1. The header `sf-external-function-signature` matches arguments to features by name; without it
    they are taken in the contract's order, after the key if the model has one. The body may be compressed with gzip or deflate.
    """


def poll_batch(model: str, batch_id: DeferredBatchId) -> ScoredBatch:
    """Fetch the result of a batch that was answered 202: 202 while it is scored; then its scores, or the status and error that it
    failed with, the same for every caller. 404 for a batch that was never answered 202.
    """


def predict_named(model: str, body: NamedRows) -> Predictions:
    """Score rows given by column name. All features of the model must be present, a missing value as null; the entity key may be.

    A name that the model does not have is tried in upper case.
    """


def infer(model: str, body: InferenceRequest) -> InferenceResponse:
    """Score by the Open Inference Protocol, version 2.

    Inputs: one tensor `features` [rows, features] in the contract's order, or one tensor a feature, by name; as JSON or by the
    binary tensor data extension (`Inference-Header-Content-Length`). Outputs: `score`, FP32, and, if the model's `serving` settings
    have them, `label` and `reasons`, BYTES; in an experiment `version`, BYTES; all of them if the request names no `outputs`. A
    row that cannot be scored fails the request and is named, whatever those settings say.
    """


def infer_version(model: str, version: str, body: InferenceRequest) -> InferenceResponse:
    """Score by a version, which must be live; otherwise as without it."""


def _header(description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return openapi_errors.header(description, required=required, **schema)


_Responses = Mapping[int | str, dict[str, Any]]

_SCORED_HEADERS = {
    "X-Snowsage-Version": _header(
        "The version that answered; in an experiment all versions with their rows: `1.0;rows=90, 1.1;rows=10`."
    ),
    "X-Snowsage-Variant": _header(
        "The endpoint's production variants that scored, in the order of the versions; absent if the service scores itself.",
        required=False,
    ),
    "Content-MD5": _header("Of the body as sent, in base64.", type="string", pattern="^[A-Za-z0-9+/]{22}==$"),
}
_INFERENCE_HEADERS = {
    **_SCORED_HEADERS,
    "Inference-Header-Content-Length": _header("The length of the JSON.", required=False, type="integer", minimum=0),
    "Content-Encoding": _header("As requested.", required=False, type="string", enum=["gzip", "deflate"]),
}
_SCORED: _Responses = {
    200: {"description": "One answer a row, in the order of the request.", "headers": _SCORED_HEADERS}
}
_DEFERRED: _Responses = {
    **_SCORED,
    202: {
        "model": Pending,
        "description": "The batch takes longer than one request; fetch it with GET and the same headers.",
    },
}
_INFERRED: _Responses = {
    200: {
        "description": "One value a row and output, in order; JSON, or JSON followed by bytes if binary data is requested.",
        "headers": _INFERENCE_HEADERS,
        "content": {"application/octet-stream": {}},
    }
}


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    signature: Callable[..., Any]
    responses: _Responses


_OPERATIONS: Mapping[str, tuple[_Operation, ...]] = {
    "/predict/{model}": (
        _Operation("POST", predict_batch, _DEFERRED),
        _Operation("GET", poll_batch, _DEFERRED),
    ),
    "/models/{model}/predict": (_Operation("POST", predict_named, _SCORED),),
    "/v2/models/{model}/infer": (_Operation("POST", infer, _INFERRED),),
    "/v2/models/{model}/versions/{version}/infer": (_Operation("POST", infer_version, _INFERRED),),
}


def add_prediction_routes(app: FastAPI, handler: Callable[[PredictionRoute], ASGIApp]) -> None:
    """Add the prediction routes to ``app``, answered by ``handler(route)`` and documented by their signatures."""
    for route in PREDICTION_ROUTES:
        for operation in _OPERATIONS[route.path]:
            documented = APIRoute(
                route.path,
                operation.signature,
                methods=[operation.method],
                operation_id=operation.signature.__name__,
                responses=dict(operation.responses),
            )
            documented.app = handler(route)
            app.router.routes.append(documented)
        if "HEAD" in route.methods:
            app.router.routes.append(Route(route.path, handler(route), methods=["HEAD"]))


# Any one of them opens every path except the liveness check. The middleware checks them, so FastAPI does not know of them.
_CREDENTIALS = {
    "Secret": {"type": "apiKey", "in": "header", "name": credentials.HEADER},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe(app: FastAPI) -> None:
    """Add the credentials and the errors to the OpenAPI document of ``app``."""
    generate = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            for operations in schema["paths"].values():
                for operation in operations.values():
                    # FastAPI's response to invalid parameters. It reads none of them itself.
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            schema["components"]["securitySchemes"] = _CREDENTIALS
            schema["security"] = [{name: []} for name in _CREDENTIALS]
            schema["paths"]["/v2/health/live"]["get"]["security"] = []
            openapi_errors.describe(schema)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
