"""Builds the ASGI application with all routes from settings, an object store and a scoring endpoint.

Several applications in one process share nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app import log
from app.ports import ObjectStore, ScoringEndpoint
from app.serve.admission.query_quota import QueryQuota
from app.serve.admission.slots import Slots
from app.serve.codecs import warm
from app.serve.http import docs_page, open_inference, openapi, operations, problems
from app.serve.http.connection import protocol_for
from app.serve.http.load_shedding import LoadShedding
from app.serve.http.middleware import EdgeMiddleware
from app.serve.http.predict import PredictionEndpoint, PredictionHandler
from app.serve.http.routes import PREDICTION_ROUTES, match
from app.serve.idempotency.response_cache import ResponseCache
from app.serve.idempotency.service import DeferralService
from app.serve.models.live_models import LiveModels
from app.serve.process.cpu import usable_cores
from app.serve.process.peers import PREPARE_S, Peers
from app.serve.process.readiness import Readiness
from app.serve.request import PredictionRequest
from app.serve.scoring.embedded import EmbeddedScorer
from app.serve.scoring.endpoint import EndpointScorer
from app.serve.scoring.experiment import ExperimentScorer
from app.serve.scoring.predictor import Predictor
from app.serve.scoring.retry_policy import RetryPolicy, RetrySettings
from app.serve.scoring.scorer import Scorers
from app.serve.security.credentials import read_credentials
from app.serve.telemetry.metrics import (
    AdmissionMetrics,
    EmbeddedMetrics,
    EndpointMetrics,
    IdempotencyMetrics,
    Metrics,
    ModelMetrics,
    build_version,
)
from app.serve.telemetry.request_log import logged
from app.serve.telemetry.tracing import Tracing
from app.settings import ServeSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from app.serve.telemetry.capture.writer import Capture

Clock = Callable[[], float]

_logger = logging.getLogger(__name__)


def create_app(
    settings: ServeSettings,
    store: ObjectStore,
    endpoint: ScoringEndpoint,
    exporter: SpanExporter | None = None,
    peers: Peers | None = None,
    clock: Clock = time.monotonic,
) -> FastAPI:
    """The service. ``store`` holds the live records, ``endpoint`` scores, ``exporter`` receives the traces, if any.

    ``peers``: the other workers, if this process is one of several. ``clock``: seconds, for rereads and retries after a delay.

    Raises CallerError if no credential is set.
    """
    credentials = read_credentials(settings, clock)
    policy = RetryPolicy(RetrySettings(settings.retry_share, settings.breaker_failures, settings.breaker_open_s))
    embedded = EmbeddedScorer(store)
    scorers: Scorers = {
        "endpoint": ExperimentScorer(
            EndpointScorer(endpoint, policy, settings.chunks_in_flight), settings.scorer_threads
        ),
        "embedded": ExperimentScorer(embedded),
    }
    models = LiveModels(store, settings.bucket, clock, prepare=lambda live: scorers[live.scorer].prepare(live))
    metrics, slots = Metrics(models.all), Slots(settings, _computing_threads(settings))
    readiness = Readiness(models, warm)
    tracing = Tracing(exporter, settings.trace_share, build_version())
    capture = _capture(settings, store, metrics, clock)
    quota = QueryQuota(settings.max_query_rows)

    def predictor_with(some: Scorers) -> Predictor:
        take = capture.take if capture else None
        return Predictor(models, some, settings.max_body_bytes, settings.max_rows, quota, take)

    @contextmanager
    def observed(request: PredictionRequest) -> Iterator[None]:
        with tracing.traced(request), logged(request, settings.log_share):
            yield

    responses = ResponseCache(settings.replay_retention_s, settings.replay_bytes)
    deferral = DeferralService(
        settings,
        store,
        models,
        scorers,
        predictor_with,
        responses,
        metrics.count_scored,
        observed,
        problems.response_to,
    )
    metrics.watch(ModelMetrics(models))
    metrics.watch(EmbeddedMetrics(embedded.predictors))
    metrics.watch(AdmissionMetrics(slots.queue))
    metrics.watch(EndpointMetrics(policy))
    metrics.watch(IdempotencyMetrics(responses, deferral.deferral, deferral.jobs))
    app = _Application(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        lifespan=_lifespan(
            readiness,
            models,
            settings.live_poll_s,
            deferral,
            [tracing.close, *([capture.close] if capture else [])],
            partial(peers.answering, metrics.exposition, models.refresh) if peers else None,
        ),
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    handler = PredictionHandler(
        settings,
        models,
        predictor_with(deferral.scorers),
        metrics,
        slots,
        responses,
        deferral.deferral,
        tracing,
    )
    endpoints = {route.path: PredictionEndpoint(route, handler) for route in PREDICTION_ROUTES}
    with_edge = partial(
        EdgeMiddleware,
        credentials=credentials,
        metrics=metrics,
        models=models,
        readiness=readiness,
        open_paths=settings.open_paths,
    )
    app.add_middleware(with_edge)
    app.dispatch({path: with_edge(found) for path, found in endpoints.items()})
    problems.install(app)
    openapi.describe(app)
    openapi.add_prediction_routes(app, lambda route: endpoints[route.path])
    docs_page.add_routes(app, described_openly="/openapi.json" in settings.open_paths)
    operations.add_routes(app, models, metrics, readiness, peers)
    open_inference.add_routes(app, models, build_version())
    load_shedding = LoadShedding(credentials, models, slots.queue, metrics, readiness, settings.budget_s)
    app.state.readiness = readiness
    app.state.protocol = protocol_for(load_shedding, settings.max_body_bytes)
    return app


class _Application(FastAPI):
    """FastAPI, except that prediction requests go straight to their endpoints: its wrapping of a route takes about 20 µs."""

    def dispatch(self, endpoints: Mapping[str, ASGIApp]) -> None:
        """Answer requests that match a prediction route with the one of ``endpoints`` at the route's path."""
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (found := match(scope["path"])) and scope["method"] in found[0].methods:
            route, scope["path_params"] = found
            await self._endpoints[route.path](scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _computing_threads(settings: ServeSettings) -> int:
    # More threads than this process's part of the cores would compete for the interpreter and the caches.
    return math.ceil(usable_cores() / (settings.workers or usable_cores()))


def _capture(settings: ServeSettings, store: ObjectStore, metrics: Metrics, clock: Clock) -> Capture | None:
    if not settings.capture_share:
        return None
    from app.serve.telemetry.capture.writer import Capture  # imports pyarrow, which the service needs only for this

    return Capture(store, settings, metrics, clock)


def _lifespan(
    readiness: Readiness,
    models: LiveModels,
    poll_s: float,
    deferral: DeferralService,
    at_end: Sequence[Callable[[], None]],
    answering: Callable[[], AbstractAsyncContextManager[None]] | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Not awaited before serving: if S3 cannot be reached, the process must still answer that it is alive and not ready.
        preparing = asyncio.create_task(asyncio.to_thread(readiness.prepare))
        watching = asyncio.create_task(_watch(models, poll_s))
        async with AsyncExitStack() as stack:
            if answering:
                await stack.enter_async_context(answering())
                # Meanwhile the other workers answer, and this one does not listen.
                await asyncio.wait([preparing], timeout=PREPARE_S)
            yield
        watching.cancel()
        await deferral.stop()
        await preparing
        await asyncio.gather(*(asyncio.to_thread(end) for end in at_end))

    return lifespan


async def _watch(models: LiveModels, poll_s: float) -> None:
    while True:
        await asyncio.sleep(poll_s)
        try:
            await asyncio.to_thread(models.watch)
        except Exception as error:  # the next round must come, whatever happened in this one
            log.event(_logger, logging.ERROR, "the live records were not watched", error=type(error).__name__)
