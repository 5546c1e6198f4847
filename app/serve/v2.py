"""The Open Inference Protocol's routes beside inference itself: the server, the models and their versions, what is ready.

What the protocol's extensions add and this server has not (shared memory, statistics, tracing, loading of models) is answered with
404 and one sentence.

The one surprise: the route that says so takes every path below ``/v2``, so it also answers the wrong methods of the other routes.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from app.deploy.live import LiveVersion
from app.errors import NotFound
from app.serve import openapi
from app.serve.forms.inference import MATRIX, OUTPUT
from app.serve.models import LiveModels

_EXTENSIONS = ("binary_tensor_data", "model_repository(index)")


class _Routes:
    def __init__(self, models: LiveModels, version: str) -> None:
        self._models, self._version = models, version

    async def server(self) -> Response:
        """The server's name, version and extensions."""
        return _json({"name": openapi.TITLE, "version": self._version, "extensions": _EXTENSIONS})

    def model(self, model: str) -> Response:
        """A model's versions, inputs and output: one tensor of all features where they are numbers, else one a feature."""
        return self.model_version(model, "")

    def model_version(self, model: str, version: str) -> Response:
        """The same of a version, which must be the live one."""
        live = self._live(model, version)
        columns = live.contract.columns
        if live.contract.has_categories:
            inputs = [_tensor(column.name, "BYTES" if column.dtype == "category" else "FP32", -1) for column in columns]
        else:
            inputs = [_tensor(MATRIX, "FP32", -1, len(columns))]
        found = {
            "name": live.model,
            "versions": [arm.version for arm in live.arms],
            "platform": "xgboost",
            "inputs": inputs,
        }
        return _json({**found, "outputs": [_tensor(OUTPUT, "FP32", -1)]})

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

    async def unsupported(self, request: Request, rest: str) -> Response:
        """What the protocol's other extensions ask for; 405 for a path of ours with another method."""
        if allowed := _methods(request):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        raise NotFound(
            f"/v2/{''.join(filter(str.isprintable, rest[:60]))} belongs to an extension that is not supported"
        )

    def _live(self, model: str, version: str) -> LiveVersion:
        live = self._models.get(model)
        if version:
            live = live.arm(version)
        if version and version != live.version:
            raise NotFound(f"version {version[:40]} of model {live.model} is not live; {live.version} is")
        return live


def add_routes(app: FastAPI, models: LiveModels, version: str) -> None:
    """Add the protocol's routes to ``app``, after its others below ``/v2``. ``version``: the program's."""
    routes = _Routes(models, version)
    app.add_api_route("/v2", routes.server, methods=["GET"], responses=openapi.PROBLEMS_V2)
    # A function for each path: a parameter that is not in the path would be one of the query.
    for path, model, ready in (
        ("/v2/models/{model}", routes.model, routes.ready),
        ("/v2/models/{model}/versions/{version}", routes.model_version, routes.ready_version),
    ):
        app.add_api_route(f"{path}/ready", ready, methods=["GET"], responses=openapi.PROBLEMS_V2)
        app.add_api_route(path, model, methods=["GET"], responses=openapi.PROBLEMS_V2)
    app.add_api_route("/v2/repository/index", routes.index, methods=["POST"], responses=openapi.PROBLEMS_V2)
    app.add_api_route("/v2/{rest:path}", routes.unsupported, methods=["GET", "POST"], include_in_schema=False)


def _methods(request: Request) -> set[str]:
    """The methods of the routes that fit the path but for its method."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return {
        name for route in routes if route.matches(request.scope)[0] is Match.PARTIAL for name in route.methods or ()
    }


def _tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _json(fields: Any) -> Response:
    return Response(orjson.dumps(fields), media_type="application/json")
