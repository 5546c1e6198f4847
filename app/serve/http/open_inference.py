"""The Open Inference Protocol's routes other than inference: metadata of the server and the models, readiness, the model index.

Extensions that this server does not have (shared memory, statistics, tracing, loading of models) have no route and get 404, as
any unknown path does.
"""

from __future__ import annotations

from fastapi import FastAPI

from app.deploy.live import LiveVersion
from app.serve.codecs.open_inference import MATRIX, check_version
from app.serve.codecs.open_inference_outputs import datatypes
from app.serve.http.openapi import TITLE
from app.serve.http.routes import add_get
from app.serve.http.schemas import IndexEntry, ModelMetadata, ModelReady, ServerMetadata, TensorMetadata
from app.serve.models.live_models import LiveModels

_EXTENSIONS = ["binary_tensor_data", "model_repository(index)"]


class _Endpoints:
    def __init__(self, models: LiveModels, version: str) -> None:
        self._models, self._version = models, version

    async def server(self) -> ServerMetadata:
        """The server's name, version and extensions."""
        return ServerMetadata(name=TITLE, version=self._version, extensions=_EXTENSIONS)

    def model(self, model: str) -> ModelMetadata:
        """A model's versions, outputs and inputs: one tensor of all features if they are numbers, else one a feature."""
        return self.model_version(model, "")

    def model_version(self, model: str, version: str) -> ModelMetadata:
        """The metadata of a version, which must be live."""
        live = self._live(model, version)
        columns = live.contract.columns
        if live.contract.has_categories:
            inputs = [_tensor(column.name, "BYTES" if column.dtype == "category" else "FP32", -1) for column in columns]
        else:
            inputs = [_tensor(MATRIX, "FP32", -1, len(columns))]
        return ModelMetadata(
            name=live.model,
            versions=[arm.version for arm in live.arms],
            platform="xgboost",
            inputs=inputs,
            outputs=[_tensor(name, datatype, -1) for name, datatype in datatypes(live).items()],
        )

    def ready(self, model: str) -> ModelReady:
        """Whether a model answers."""
        return self.ready_version(model, "")

    def ready_version(self, model: str, version: str) -> ModelReady:
        """Whether a version of a model answers."""
        return ModelReady(name=self._live(model, version).model)

    async def index(self) -> list[IndexEntry]:
        """Every model that answers, and every model that has a record but cannot be loaded."""
        ready = [IndexEntry(name=live.model, version=live.version, state="READY") for live in self._models.all()]
        names = {entry.name for entry in ready}
        faulty = [
            IndexEntry(name=name, version="", state="UNAVAILABLE", reason=f"it cannot be loaded ({kind})")
            for name, kind in self._models.faults.items()
            if name not in names
        ]
        return ready + faulty

    def _live(self, model: str, version: str) -> LiveVersion:
        live = self._models.get(model)
        if version:
            live = live.arm(version)
        check_version(live, version)
        return live


def add_routes(app: FastAPI, models: LiveModels, version: str) -> None:
    """Add the protocol's routes to ``app``. ``version``: the program's."""
    endpoints = _Endpoints(models, version)
    add_get(app, "/v2", endpoints.server)
    # One function a path: a parameter that is not in the path would become a query parameter.
    for path, model, ready in (
        ("/v2/models/{model}", endpoints.model, endpoints.ready),
        ("/v2/models/{model}/versions/{version}", endpoints.model_version, endpoints.ready_version),
    ):
        add_get(app, f"{path}/ready", ready)
        add_get(app, path, model)
    app.add_api_route("/v2/repository/index", endpoints.index, methods=["POST"])


def _tensor(name: str, datatype: str, *shape: int) -> TensorMetadata:
    return TensorMetadata(name=name, datatype=datatype, shape=list(shape))
