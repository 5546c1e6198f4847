"""The service put together: settings and two ports -> an application with its routes.

Nothing is shared between two applications. Predictions are ``predictions``' business; refreshes, health and metrics are here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import NotFound
from app.ports import ObjectStore, ScoringEndpoint
from app.serve.admission.query_quota import QueryRows
from app.serve.admission.slots import Places
from app.serve.codecs import warm
from app.serve.http import open_inference, openapi, problem_types, problems
from app.serve.http.load_shedding import NAMED_PATH, SNOWFLAKE_PATH, Door
from app.serve.http.methods import add_get
from app.serve.http.middleware import Edge
from app.serve.http.predict import Predicting, Predictions, Shortcut, routes
from app.serve.idempotency.response_cache import Replays
from app.serve.idempotency.service import Deferring
from app.serve.models.live_models import LiveModels
from app.serve.process.peers import PREPARE_S, Crew
from app.serve.process.readiness import Readiness
from app.serve.scoring.embedded import EmbeddedScorer
from app.serve.scoring.endpoint import EndpointScorer
from app.serve.scoring.experiment import Sharing
from app.serve.scoring.predictor import Predictor
from app.serve.scoring.retry_policy import Attempts, Manners
from app.serve.scoring.scorer import Scorers
from app.serve.security.credentials import read_credentials
from app.serve.telemetry.gauges import AdmissionMetrics, EndpointMetrics
from app.serve.telemetry.metrics import Metrics, build_version
from app.serve.telemetry.tracing import Tracing
from app.serve.tuning import Tuning
from app.settings import ServeSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from app.serve.telemetry.capture.writer import Capture


def create_app(
    settings: ServeSettings,
    store: ObjectStore,
    endpoint: ScoringEndpoint,
    exporter: SpanExporter | None = None,
    tuning: Tuning | None = None,
    crew: Crew | None = None,
) -> FastAPI:
    """The service. ``store`` holds the live records, ``endpoint`` scores, ``exporter`` takes the traces, if any are wanted.

    ``crew``: the other workers, where this process is one of several.

    Raises CallerError where no credential is set.
    """
    tuning = tuning or Tuning()
    credentials = read_credentials(settings, tuning.key_file_look_s)
    attempts = Attempts(
        Manners(settings.retry_share, settings.breaker_failures, settings.breaker_open_s, tuning.breaker_failed_of)
    )
    scorers: Scorers = {
        "endpoint": Sharing(EndpointScorer(endpoint, attempts, settings.chunks_in_flight), settings.scorer_threads),
        "embedded": Sharing(EmbeddedScorer(store)),
    }
    models = LiveModels(
        store,
        settings.bucket,
        prepare=lambda live: scorers[live.scorer].prepare(live),
        reload_after_s=tuning.reload_after_s,
    )
    metrics, places = Metrics(models.all), Places(settings)
    metrics.watch(AdmissionMetrics(places.gate))
    metrics.watch(EndpointMetrics(attempts))
    readiness = Readiness(models, warm)
    tracing = Tracing(exporter, settings.trace_share, build_version())
    capture = _capture(settings, store, metrics, tuning)
    query_rows = QueryRows(settings.max_query_rows)

    def predictor_with(some: Scorers) -> Predictor:
        take = capture.take if capture else None
        return Predictor(models, some, settings.max_body_bytes, settings.max_rows, query_rows, take)

    replays = Replays(settings.replay_retention_s, settings.replay_bytes)
    deferring = Deferring(settings, store, models, scorers, predictor_with, replays, metrics, tracing)
    app = _Application(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        lifespan=_preparing(
            readiness,
            models,
            settings.live_poll_s,
            deferring,
            [tracing.close, *([capture.close] if capture else [])],
            partial(crew.answering, metrics.exposition, models.refresh) if crew else None,
        ),
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    predicting = routes(
        Predictions(
            settings,
            models,
            predictor_with(deferring.paced),
            metrics,
            places,
            replays,
            deferring.deferral,
            tracing,
        )
    )
    behind_edge = partial(
        Edge,
        credentials=credentials,
        metrics=metrics,
        models=models,
        readiness=readiness,
        open_paths=settings.open_paths,
    )
    app.add_middleware(behind_edge)
    app.cut_short({path: behind_edge(predicting[path]) for path in (SNOWFLAKE_PATH, NAMED_PATH)})
    app.state.readiness = readiness
    app.state.door = Door(credentials, models, places.gate, metrics, readiness, settings.budget_s)
    problems.install(app)
    openapi.describe(app)
    _add_routes(app, _Routes(models, metrics, readiness, crew), predicting)
    open_inference.add_routes(app, models, build_version())
    return app


class _Application(FastAPI):
    """The framework's application; the two busiest routes go past it: what it wraps around a route takes about 20 us."""

    def cut_short(self, busiest: Mapping[str, ASGIApp]) -> None:
        """Have ``busiest`` answer the requests for their paths."""
        self._shortcut = Shortcut(super().__call__, busiest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._shortcut(scope, receive, send)


def _capture(settings: ServeSettings, store: ObjectStore, metrics: Metrics, tuning: Tuning) -> Capture | None:
    if not settings.capture_share:
        return None
    from app.serve.telemetry.capture.writer import Capture  # with pyarrow, which only this needs

    return Capture(store, settings, metrics, look_every_s=tuning.capture_look_s, attempts=tuning.capture_attempts)


def _preparing(
    readiness: Readiness,
    models: LiveModels,
    every_s: float,
    deferring: Deferring,
    at_end: Sequence[Callable[[], None]],
    answering: Callable[[], AbstractAsyncContextManager[None]] | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Not awaited before serving: with S3 out of reach the process must still answer that it lives and is not ready.
        preparing = asyncio.create_task(asyncio.to_thread(readiness.prepare))
        watching = asyncio.create_task(_watch(models, every_s))
        async with AsyncExitStack() as beside:
            if answering:
                await beside.enter_async_context(answering())
                # Until then the other workers answer, and this one does not listen.
                await asyncio.wait([preparing], timeout=PREPARE_S)
            yield
        watching.cancel()
        await deferring.stop()
        await preparing
        await asyncio.gather(*(asyncio.to_thread(end) for end in at_end))

    return lifespan


async def _watch(models: LiveModels, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(models.watch)


class _Routes:
    def __init__(self, models: LiveModels, metrics: Metrics, readiness: Readiness, crew: Crew | None) -> None:
        self._models, self._metrics, self._readiness, self._crew = models, metrics, readiness, crew

    async def refresh(self, model: str) -> Response:
        """Read again which version of the model is live, and serve it from its moment on."""
        live = await asyncio.to_thread(self._models.refresh, model)
        if self._crew:
            await self._crew.refresh_others(live.model)
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
        """Counters for Prometheus; where several workers answer, those of all."""
        own = self._metrics.exposition()
        return Response(await self._crew.gather(own) if self._crew else own, media_type=CONTENT_TYPE_LATEST)

    async def problems(self) -> Response:
        """The kinds of fault that problem documents name as their `type`, as a table in Markdown."""
        return PlainTextResponse(problem_types.table())

    async def problem(self, name: str) -> Response:
        """What one kind of fault means, and what to do; the path is the `type` itself."""
        if name not in problem_types.TYPES:
            raise NotFound(f"there is no problem type of this name; {problem_types.PREFIX} lists them")
        return PlainTextResponse(problem_types.TYPES[name].text)


def _json(fields: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(fields), status, media_type="application/json")


def _add_routes(app: FastAPI, routes: _Routes, predicting: Mapping[str, Predicting]) -> None:
    # First, for routes are tried in order. `openapi` describes them: the framework sees no function to read.
    for path, route in predicting.items():
        methods = ["POST", "GET"] if path == SNOWFLAKE_PATH else ["POST"]
        app.router.routes.append(Route(path, route, methods=methods))
    get = partial(add_get, app)
    app.add_api_route("/models/{model}/refresh", routes.refresh, methods=["POST"], responses=openapi.REFRESH_RESPONSES)
    get("/metrics", routes.metrics, openapi.METRICS_RESPONSES)
    get("/v2/health/live", routes.live, openapi.LIVE_RESPONSES)
    get("/v2/health/ready", routes.ready, openapi.READY_RESPONSES)
    get(problem_types.PREFIX, routes.problems, openapi.PROBLEM_TYPES_RESPONSES)
    get(problem_types.PREFIX + "/{name}", routes.problem, openapi.PROBLEM_TYPES_RESPONSES)
