"""The routes for operators: refresh of a model, health, metrics, and the explanations of problem types."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.errors import NotFound
from app.serve.http import problem_types
from app.serve.http.routes import add_get
from app.serve.http.schemas import Live, Liveness, Ready
from app.serve.models.live_models import LiveModels
from app.serve.process.peers import Peers
from app.serve.process.readiness import Readiness
from app.serve.telemetry.metrics import Metrics


class _Endpoints:
    def __init__(self, models: LiveModels, metrics: Metrics, readiness: Readiness, peers: Peers | None) -> None:
        self._models, self._metrics, self._readiness, self._peers = models, metrics, readiness, peers

    async def refresh(self, model: str) -> Live:
        """Read again which version of the model is live, and use it from its start time on."""
        live = await asyncio.to_thread(self._models.refresh, model)
        if self._peers:
            await self._peers.refresh_others(live.model)
        return Live(
            model=live.model,
            version=live.version,
            endpoint=live.endpoint,
            live_from_s=live.live_from_s,
            fingerprint=live.contract.fingerprint,
        )

    async def live(self) -> Liveness:
        """Whether the process answers."""
        return Liveness()

    async def ready(self, response: Response) -> Ready:
        """Whether requests should be sent here: everything is prepared and the process is not shutting down; if not, why."""
        if self._models.fault is not None:
            await asyncio.to_thread(self._readiness.check_again)
        faulty = dict(self._models.faults) or None
        if reasons := self._readiness.reasons:
            response.status_code = 503
            return Ready(ready=False, reason="; ".join(reasons), faulty_models=faulty)
        return Ready(ready=True, faulty_models=faulty)

    async def metrics(self) -> Response:
        """Counters for Prometheus; of all workers, if there are several."""
        own = self._metrics.exposition()
        return Response(await self._peers.gather(own) if self._peers else own, media_type=CONTENT_TYPE_LATEST)

    async def problems(self) -> str:
        """The problem types that problem documents name as their `type`, as a table in Markdown."""
        return problem_types.table()

    async def problem(self, name: str) -> str:
        """What one problem type means, and what to do; the path is the `type` itself."""
        if name not in problem_types.TYPES:
            raise NotFound(f"no problem type has this name; {problem_types.PREFIX} lists all")
        return problem_types.TYPES[name].text


def add_routes(app: FastAPI, models: LiveModels, metrics: Metrics, readiness: Readiness, peers: Peers | None) -> None:
    """Add the operators' routes to ``app``. ``peers``: the other workers, if there are several."""
    endpoints = _Endpoints(models, metrics, readiness, peers)
    app.add_api_route("/models/{model}/refresh", endpoints.refresh, methods=["POST"])
    add_get(app, "/metrics", endpoints.metrics, response_class=PlainTextResponse)
    add_get(app, "/v2/health/live", endpoints.live)
    not_ready = {503: {"model": Ready, "description": "Not prepared yet, or shutting down."}}
    add_get(app, "/v2/health/ready", endpoints.ready, response_model_exclude_none=True, responses=not_ready)
    add_get(app, problem_types.PREFIX, endpoints.problems, response_class=PlainTextResponse)
    add_get(app, problem_types.PREFIX + "/{name}", endpoints.problem, response_class=PlainTextResponse)
