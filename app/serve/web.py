"""The routes: HTTP requests -> predictions, refreshes, health, metrics.

``create_app`` builds an application from its settings and two ports; nothing is shared between two of them. The event loop
only moves bytes: a request's whole way from bytes to bytes runs in one thread of a pool, whose size is therefore also the
number of requests to endpoints under way.

The one surprise: handlers take the bare request. Snowflake's batches are read by ``body``, which trusts no header.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response, Security, params
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST

from app.deploy.live import LiveVersion
from app.ports import ObjectStore, ScoringEndpoint
from app.serve import body, codec, openapi, problems, security, signature
from app.serve.edge import Edge
from app.serve.journal import record
from app.serve.metrics import Metrics
from app.serve.models import LiveModels
from app.serve.prediction import Course, Encode, predict
from app.settings import ServeSettings
from sagemaker_entry.model import Matrix

VERSION_HEADER = "X-Snowsage-Version"

Result = TypeVar("Result")


def create_app(settings: ServeSettings, store: ObjectStore, endpoint: ScoringEndpoint) -> FastAPI:
    """The service. ``store`` holds the live records, ``endpoint`` scores. CallerError where a secret is missing."""
    secrets = security.Secrets(settings.secrets)
    models = LiveModels(store, settings.bucket)
    metrics = Metrics(models.all)
    app = FastAPI(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        lifespan=_loading(models),
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Edge, secrets=secrets, metrics=metrics, models=models)
    problems.install(app)
    _add_routes(app, _Routes(settings, models, endpoint, metrics))
    return app


def _loading(models: LiveModels) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Not awaited before serving: with S3 out of reach the process must still answer that it lives and is not ready.
        loading = asyncio.create_task(asyncio.to_thread(models.load))
        yield
        await loading

    return lifespan


class _Routes:
    def __init__(
        self, settings: ServeSettings, models: LiveModels, endpoint: ScoringEndpoint, metrics: Metrics
    ) -> None:
        self._limit_bytes = settings.max_body_bytes
        self._models, self._endpoint, self._metrics = models, endpoint, metrics
        self._threads = ThreadPoolExecutor(settings.scorer_threads, thread_name_prefix="snowsage-serve")

    async def predict_batch(self, request: Request, model: str) -> Response:
        """Score a batch of a Snowflake external function. The header `sf-external-function-signature` matches arguments
        to features by name; without it they are taken in the contract's order, after the key where the model has one.
        """

        def decode(unpacked: bytes, live: LiveVersion) -> Matrix:
            return codec.decode_batch(unpacked, live, signature.from_headers(request.headers))

        return await self._predict(request, model, decode, lambda scores, _: codec.encode_batch(scores))

    async def predict_named(self, request: Request, model: str) -> Response:
        """Score rows given by column name."""
        return await self._predict(request, model, codec.decode_named, codec.encode_predictions)

    async def refresh(self, model: str) -> Response:
        """Read again which version of the model is live, and serve it from now on."""
        live = await self._in_thread(lambda: self._models.refresh(model))
        fields = {"model": live.model, "version": live.version, "endpoint": live.endpoint}
        return _json({**fields, "fingerprint": live.contract.fingerprint})

    async def live(self) -> Response:
        """Whether the process answers."""
        return _json({"live": True})

    async def ready(self) -> Response:
        """Whether the live records could be read; if not, why."""
        if self._models.fault is not None:
            await asyncio.to_thread(self._models.load)
        fault = self._models.fault
        return _json({"ready": True}) if fault is None else _json({"ready": False, "reason": fault}, 503)

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def _predict(
        self, request: Request, model: str, decode: Callable[[bytes, LiveVersion], Matrix], encode: Encode
    ) -> Response:
        raw = await self._read(request)
        encoding = request.headers.get("content-encoding", "")
        course = Course(model)

        def decode_for(live: LiveVersion) -> Matrix:
            return decode(body.unpack(raw, encoding, self._limit_bytes), live)

        def run() -> Response:
            with record(course, request.headers):
                return _scored(predict(self._models, self._endpoint, course, decode_for, encode), course.version)

        response = await self._in_thread(run)
        self._metrics.count_scored(course)
        return response

    async def _read(self, request: Request) -> bytes:
        raw = bytearray()
        async for part in request.stream():
            raw += part
            if len(raw) > self._limit_bytes:
                raise body.too_large(self._limit_bytes)
        return bytes(raw)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _scored(reply: bytes, version: str) -> Response:
    digest = base64.b64encode(hashlib.md5(reply, usedforsecurity=False).digest()).decode()
    return Response(reply, media_type="application/json", headers={"Content-MD5": digest, VERSION_HEADER: version})


def _json(fields: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(fields), status, media_type="application/json")


def _add_routes(app: FastAPI, routes: _Routes) -> None:
    # Only described here: `Edge` is what checks the secret, also on paths that do not exist.
    closed: Sequence[params.Depends] = [Security(APIKeyHeader(name=security.HEADER, auto_error=False))]
    post, get = partial(app.add_api_route, methods=["POST"]), partial(app.add_api_route, methods=["GET"])
    post(
        "/predict/{model}",
        routes.predict_batch,
        dependencies=closed,
        responses=openapi.BATCH_RESPONSES,
        openapi_extra=openapi.BATCH_BODY,
    )
    post(
        "/models/{model}/predict",
        routes.predict_named,
        dependencies=closed,
        responses=openapi.NAMED_RESPONSES,
        openapi_extra=openapi.NAMED_BODY,
    )
    post("/models/{model}/refresh", routes.refresh, dependencies=closed, responses=openapi.REFRESH_RESPONSES)
    get("/metrics", routes.metrics, dependencies=closed, responses=openapi.METRICS_RESPONSES)
    get("/v2/health/live", routes.live, responses=openapi.LIVE_RESPONSES)
    get("/v2/health/ready", routes.ready, responses=openapi.READY_RESPONSES)
