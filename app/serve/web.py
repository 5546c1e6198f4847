"""The routes: HTTP requests -> predictions, refreshes, health, metrics.

``create_app`` builds an application from its settings and two ports; nothing is shared between two of them. The event loop
lets requests in and moves bytes: a request's whole way from bytes to bytes runs in one thread of a pool, whose size is
therefore also the number of requests to endpoints under way.

The one surprise: predictions are answered on bare ASGI, without request and response objects, which cost as much as a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

import orjson
from fastapi import FastAPI, Response, Security, params
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.ports import ObjectStore, ScoringEndpoint
from app.serve import openapi, problems, security, v2
from app.serve.admission.places import Place, Places, caller_of
from app.serve.answer import Answer
from app.serve.call import Call
from app.serve.deadline import Deadline
from app.serve.deferred.service import Deferring
from app.serve.edge import Edge
from app.serve.forms import NAMED, SNOWFLAKE, Form, body, warm
from app.serve.forms.inference import Exchange
from app.serve.gauges import AdmissionMetrics, EndpointMetrics
from app.serve.journal import record
from app.serve.metrics import Metrics
from app.serve.models import LiveModels
from app.serve.prediction import Predictor
from app.serve.readiness import Readiness
from app.serve.replay import Batch, Early, Replays
from app.serve.scorers import Scorers
from app.serve.scorers.attempts import Attempts, Manners
from app.serve.scorers.embedded import EmbeddedScorer
from app.serve.scorers.endpoint import EndpointScorer
from app.settings import ServeSettings


def create_app(settings: ServeSettings, store: ObjectStore, endpoint: ScoringEndpoint) -> FastAPI:
    """The service. ``store`` holds the live records, ``endpoint`` scores. CallerError where a secret is missing."""
    secrets = security.Secrets(settings.secrets)
    attempts = Attempts(Manners(settings.retry_share, settings.breaker_failures, settings.breaker_open_s))
    scorers: Scorers = {
        "endpoint": EndpointScorer(endpoint, attempts, settings.chunks_in_flight),
        "embedded": EmbeddedScorer(store),
    }
    models = LiveModels(store, settings.bucket, prepare=lambda live: scorers[live.scorer].prepare(live))
    metrics, places = Metrics(models.all), Places(settings)
    metrics.watch(AdmissionMetrics(places.gate))
    metrics.watch(EndpointMetrics(attempts))
    readiness = Readiness(models, warm)
    replays = Replays(settings.replay_retention_s, settings.replay_bytes)
    deferring = Deferring(settings, store, models, scorers, replays, metrics)
    app = FastAPI(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        lifespan=_preparing(readiness, models, settings.live_poll_s, deferring),
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Edge, secrets=secrets, metrics=metrics, models=models, readiness=readiness)
    app.state.readiness = readiness
    problems.install(app)
    predictor = Predictor(models, deferring.paced, settings.max_body_bytes, settings.max_rows)
    openapi.describe(app, closed_by=security.HEADER)
    _add_routes(app, _Routes(settings, models, predictor, metrics, places, readiness, replays, deferring))
    v2.add_routes(app, models, version("snowsage"))
    return app


def _preparing(
    readiness: Readiness, models: LiveModels, every_s: float, deferring: Deferring
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Not awaited before serving: with S3 out of reach the process must still answer that it lives and is not ready.
        preparing = asyncio.create_task(asyncio.to_thread(readiness.prepare))
        watching = asyncio.create_task(_watch(models, every_s))
        yield
        watching.cancel()
        await deferring.stop()
        await preparing

    return lifespan


async def _watch(models: LiveModels, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(models.watch)


class _Routes:
    def __init__(
        self,
        settings: ServeSettings,
        models: LiveModels,
        predictor: Predictor,
        metrics: Metrics,
        places: Places,
        readiness: Readiness,
        replays: Replays,
        deferring: Deferring,
    ) -> None:
        self._settings, self._models, self._predictor, self._metrics = settings, models, predictor, metrics
        self._places, self._readiness = places, readiness
        self._replays, self._deferral = replays, deferring.deferral

    async def predict(self, form: Form, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for predictions in ``form``: bytes in, bytes out."""
        call = _call(scope, self._settings.budget_s)
        body.check_length(call.headers, self._settings.max_body_bytes)
        self._predictor.check(call.model)
        model = call.model if self._models.knows(call.model) else ""
        place = self._places.place(call, model, caller_of(call.headers, scope.get("credential", "")))
        answer = await self._once(call, form, scope["path"], place, receive)
        await answer.send(send)

    async def poll(self, scope: Scope, send: Send) -> None:
        """Answer a request for what became of a batch that was deferred."""
        answer = await self._deferral.poll(_call(scope, self._settings.budget_s))
        await answer.send(send)

    async def _once(self, call: Call, form: Form, path: str, place: Place, receive: Receive) -> Answer:
        """The answer to a batch that may have been sent before, and may be deferred where the form is Snowflake's."""
        async with place:
            call.raw = await self._read(receive)
            if not call.batch_id:
                return await self._score(call, form, place)
            batch = Batch.of(call, path)
            if not self._replays.knows(batch):
                return await self._replays.answer(batch, lambda early: self._first(batch, call, form, place, early))
        # Sent again: whoever only waits for another's scoring, or for nothing, leaves the place to others.
        return await self._replays.again(batch)

    async def _first(self, batch: Batch, call: Call, form: Form, place: Place, early: Early) -> Answer:
        if form is not SNOWFLAKE:
            return await self._score(call, form, place)
        return await self._deferral.answer(batch, call, lambda: self._score(call, form, place), early)

    async def _score(self, call: Call, form: Form, place: Place) -> Answer:
        answer = await place.run(lambda: self._answer(call, form))
        self._metrics.count_scored(call)
        return answer

    def _answer(self, call: Call, form: Form) -> Answer:
        with record(call):
            return Answer.to(call, self._predictor.answer(call, form))

    async def refresh(self, model: str) -> Response:
        """Read again which version of the model is live, and serve it from its moment on."""
        live = await asyncio.to_thread(self._models.refresh, model)
        fields = {
            "model": live.model,
            "version": live.version,
            "endpoint": live.endpoint,
            "live_from_s": live.live_from_s,
        }
        return _json({**fields, "fingerprint": live.contract.fingerprint})

    async def live(self) -> Response:
        """Whether the process answers."""
        return _json({"live": True})

    async def ready(self) -> Response:
        """Whether requests should be sent here: all is prepared and the process is not about to end; if not, why."""
        if self._models.fault is not None:
            await asyncio.to_thread(self._readiness.look_again)
        reasons = self._readiness.reasons
        return _json({"ready": False, "reason": "; ".join(reasons)}, 503) if reasons else _json({"ready": True})

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def _read(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._settings.body_s):
                return await self._gather(receive)
        except TimeoutError:
            raise body.TooSlow(f"the body did not arrive within {self._settings.body_s:g} s") from None

    async def _gather(self, receive: Receive) -> bytes:
        pieces: list[bytes] = []
        limit, size, more = self._settings.max_body_bytes, 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise body.too_large(limit)
            more = message.get("more_body", False)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Predicting:
    """A route that answers in one form. An ASGI application of its own: the framework's wrapping costs as much as a row.

    ``form_for``: the form of a request, by the path's parameters.
    """

    def __init__(self, path: str, routes: _Routes, form_for: Callable[[Mapping[str, str]], Form]) -> None:
        self.path, self._routes, self._form_for = path, routes, form_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self  # as the framework's own routes do, for the counters
        if scope["method"] == "POST":
            await self._routes.predict(self._form_for(scope["path_params"]), scope, receive, send)
        else:
            await self._routes.poll(scope, send)


def _inference(path_parameters: Mapping[str, str]) -> Form:
    exchange = Exchange(path_parameters.get("version", ""))
    return Form(exchange.decode, exchange.encode)


_PREDICTIONS: Mapping[str, Callable[[Mapping[str, str]], Form]] = {
    "/predict/{model}": lambda _: SNOWFLAKE,
    "/models/{model}/predict": lambda _: NAMED,
    "/v2/models/{model}/infer": _inference,
    "/v2/models/{model}/versions/{version}/infer": _inference,
}
_POLLED = ("/predict/{model}",)


def _call(scope: Scope, budget_s: float) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(scope["path_params"]["model"], headers, Deadline.after(budget_s))


def _json(fields: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(fields), status, media_type="application/json")


def _add_routes(app: FastAPI, routes: _Routes) -> None:
    # First, for routes are tried in order. `openapi` describes them: the framework sees no function to read.
    for path, form_for in _PREDICTIONS.items():
        methods = ["POST", "GET"] if path in _POLLED else ["POST"]
        app.router.routes.append(Route(path, _Predicting(path, routes, form_for), methods=methods))
    # Only described here: `Edge` is what checks the secret, also on paths that do not exist.
    closed: Sequence[params.Depends] = [Security(APIKeyHeader(name=security.HEADER, auto_error=False))]
    post, get = partial(app.add_api_route, methods=["POST"]), partial(app.add_api_route, methods=["GET"])
    post("/models/{model}/refresh", routes.refresh, dependencies=closed, responses=openapi.REFRESH_RESPONSES)
    get("/metrics", routes.metrics, dependencies=closed, responses=openapi.METRICS_RESPONSES)
    get("/v2/health/live", routes.live, responses=openapi.LIVE_RESPONSES)
    get("/v2/health/ready", routes.ready, responses=openapi.READY_RESPONSES)
