"""The JSON bodies of the HTTP API as types: what FastAPI writes to clients, and what the OpenAPI document says of the rest.

Prediction bodies are read and written without these types, because a model instance costs several microseconds a row; their
types only describe them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.serve.codecs.open_inference_outputs import LABEL, REASONS, SCORE

NonNegative = Annotated[int, Field(ge=0)]


class Batch(BaseModel):
    """A batch as Snowflake sends it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [[0, 41.5, 3, None], [1, 12.0, 0, 7.5]]}]})

    data: list[
        Annotated[
            list[Any], Field(min_length=1, json_schema_extra={"prefixItems": [{"type": "integer", "minimum": 0}]})
        ]
    ]


class ScoredBatch(BaseModel):
    """The scores of a batch, each with its row number."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [[0, 0.12345679], [1, 0.5]]}]})

    data: list[Annotated[list[Any], Field(min_length=2, max_length=2, description="The row number and its answer.")]]


class Pending(BaseModel):
    """The batch is not scored yet."""

    model_config = ConfigDict(json_schema_extra={"maxProperties": 0})


class NamedRows(BaseModel):
    """Rows by column name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rows": [{"TOTAL_SPENT": 41.5, "ORDERS": 3, "DAYS_SINCE_ORDER": None}]}]}
    )

    rows: list[dict[str, Any]]


class Predictions(BaseModel):
    """One prediction a row, in order."""

    model: str
    version: Annotated[str, Field(description="As in the header X-Snowsage-Version.")]
    versions: Annotated[list[str], Field(description="Only in an experiment: the version of each row.")] = []
    predictions: list[float | dict[str, Any] | None]


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    datatype: str
    shape: Annotated[list[NonNegative], Field(min_length=1, max_length=2)]
    data: list[Any] = []
    parameters: dict[str, Any] = {}


class BinaryParameter(BaseModel):
    """How an output is written."""

    model_config = ConfigDict(extra="forbid")

    binary_data: bool = False


class RequestedOutput(BaseModel):
    """An output that the request asks for."""

    name: Literal[SCORE, LABEL, REASONS]  # type: ignore[valid-type]  # constants of the codec
    parameters: BinaryParameter | None = None


class InferenceRequest(BaseModel):
    """An inference request of the Open Inference Protocol."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [41.5, 3, None]}]}
            ]
        }
    )

    id: str | None = None
    inputs: Annotated[list[Tensor], Field(min_length=1)]
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


class InferenceResponse(BaseModel):
    """An inference response of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[Tensor]


class Live(BaseModel):
    """The version that the service uses from now on."""

    model: str
    version: str
    endpoint: str
    live_from_s: Annotated[float, Field(description="When it becomes live, in seconds since 1970.")]
    fingerprint: str


class Liveness(BaseModel):
    """The process answers."""

    live: bool = True


class Ready(BaseModel):
    """Whether requests may be sent here; if not, why."""

    ready: bool
    reason: str | None = None
    faulty_models: Annotated[
        dict[str, str] | None,
        Field(
            description="Models whose newest version cannot be loaded, each with the kind of its error; the others answer."
        ),
    ] = None


class ServerMetadata(BaseModel):
    """The server, in the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """An input or output of a model. ``shape``: -1 for the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model, in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(BaseModel):
    """The model answers."""

    name: str
    ready: bool = True


class IndexEntry(BaseModel):
    """A model of the repository."""

    name: str
    version: str
    state: str
    reason: str = ""


class PlainError(BaseModel):
    """An error on the paths of Snowflake and of the Open Inference Protocol."""

    error: str
