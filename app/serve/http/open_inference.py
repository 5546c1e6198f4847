"""The Open Inference Protocol's routes beside inference itself: the server, the models and their versions, what is ready.

What the protocol's extensions add and this server has not (shared memory, statistics, tracing, loading of models) has no route, so
it is answered as every path that is not there: 404 and one sentence.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Response

from app.deploy.live import LiveVersion
from app.serve.codecs.open_inference import MATRIX, check_version
from app.serve.codecs.open_inference_outputs import datatypes
from app.serve.http import openapi
from app.serve.http.methods import add_get
from app.serve.models.live_models import LiveModels

_EXTENSIONS = ("binary_tensor_data", "model_repository(index)")


class _Routes:
    def __init__(self, models: LiveModels, version: str) -> None:
        self._models, self._version = models, version

    async def server(self) -> Response:
        """The server's name, version and extensions."""
        return _json({"name": openapi.TITLE, "version": self._version, "extensions": _EXTENSIONS})

    def model(self, model: str) -> Response:
        """A model's versions, outputs and inputs: one tensor of all features where they are numbers, else one a feature."""
        return self.model_version(model, "")

    def model_version(self, model: str, version: str) -> Response:
        """The same of a version, which must be the live one."""
        live = self._live(model, version)
        columns = live.contract.columns
        if live.contract.has_categories:
            inputs = [_tensor(column.name, "BYTES" if column.dtype == "category" else "FP32", -1) for column in columns]
        else:
            inputs = [_tensor(MATRIX, "FP32", -1, len(columns))]
        versions = [arm.version for arm in live.arms]
        found = {"name": live.model, "versions": versions, "platform": "xgboost", "inputs": inputs}
        outputs = [_tensor(name, datatype, -1) for name, datatype in datatypes(live).items()]
        return _json({**found, "outputs": outputs})

    def ready(self, model: str) -> Response:
        """Whether a model answers."""
        return self.ready_version(model, "")

    def ready_version(self, model: str, version: str) -> Response:
        """Whether a version of a model answers."""
        live = self._live(model, version)
        return _json({"name": live.model, "ready": True})

    async def index(self) -> Response:
        """Every model that answers."""
        return _json([{"name": live.model, "version": live.version, "state": "READY"} for live in self._models.all()])

    def _live(self, model: str, version: str) -> LiveVersion:
        live = self._models.get(model)
        if version:
            live = live.arm(version)
        check_version(live, version)
        return live


def add_routes(app: FastAPI, models: LiveModels, version: str) -> None:
    """Add the protocol's routes to ``app``. ``version``: the program's."""
    routes = _Routes(models, version)
    add_get(app, "/v2", routes.server, openapi.SERVER_RESPONSES)
    # A function for each path: a parameter that is not in the path would be one of the query.
    for path, model, ready in (
        ("/v2/models/{model}", routes.model, routes.ready),
        ("/v2/models/{model}/versions/{version}", routes.model_version, routes.ready_version),
    ):
        add_get(app, f"{path}/ready", ready, openapi.MODEL_READY_RESPONSES)
        add_get(app, path, model, openapi.MODEL_RESPONSES)
    app.add_api_route("/v2/repository/index", routes.index, methods=["POST"], responses=openapi.INDEX_RESPONSES)


def _tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _json(fields: Any) -> Response:
    return Response(orjson.dumps(fields), media_type="application/json")
