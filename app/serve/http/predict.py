"""The handler of prediction requests: admits a request, reads its body, looks for its batch among earlier ones, scores, answers.

The event loop admits requests and moves bytes. Everything from request bytes to reply bytes runs in one thread: of a pool with a
thread for each core if the model is in this process, of a larger pool if it is behind an endpoint. A few rows for a model in this
process are scored on the loop itself, which takes about a tenth of a millisecond, less than waking a thread and being woken;
they are counted and logged once the response is sent.
"""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.serve.admission.slots import Slot, Slots, caller_of
from app.serve.codecs import SNOWFLAKE, body, media_types
from app.serve.codecs.codec import Codec
from app.serve.deadline import Deadline
from app.serve.http.cycle import WHOLE_BODY
from app.serve.http.middleware import CALLER
from app.serve.http.routes import PredictionRoute
from app.serve.idempotency.deferral import Deferral
from app.serve.idempotency.response_cache import BatchKey, Early, ResponseCache
from app.serve.models.live_models import LiveModels
from app.serve.request import USER_HEADER, PredictionRequest
from app.serve.response import HttpResponse
from app.serve.scoring.predictor import Predictor
from app.serve.telemetry import request_log
from app.serve.telemetry.metrics import Metrics
from app.serve.telemetry.tracing import Tracing
from app.settings import ServeSettings


class PredictionHandler:
    """Answers prediction requests of all routes."""

    def __init__(
        self,
        settings: ServeSettings,
        models: LiveModels,
        predictor: Predictor,
        metrics: Metrics,
        slots: Slots,
        responses: ResponseCache,
        deferral: Deferral,
        tracing: Tracing,
    ) -> None:
        self._settings, self._models, self._predictor, self._metrics = settings, models, predictor, metrics
        self._slots, self._responses, self._deferral, self._tracing = slots, responses, deferral, tracing

    async def predict(self, codec: Codec, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose body is in ``codec``'s format."""
        request = _request(scope, self._settings.budget_s)
        media_types.check(request.headers, binary=codec.binary)
        body.check_length(request.headers, self._settings.max_body_bytes)
        self._predictor.check(request.model)
        model = request.model if self._models.knows(request.model) else ""
        user = request.headers.get(USER_HEADER, "") if request.gateway else ""
        slot = self._slots.slot(request, model, caller_of(user, request.caller))
        await _send(await self._respond(request, codec, slot, scope, receive), send)

    async def poll(self, scope: Scope, send: Send) -> None:
        """Answer a request for the result of a deferred batch."""
        await _send(await self._deferral.poll(_request(scope, self._settings.budget_s)), send)

    async def _respond(
        self, request: PredictionRequest, codec: Codec, slot: Slot, scope: Scope, receive: Receive
    ) -> HttpResponse:
        """The response to a batch that may have been sent before, and in Snowflake's format may be deferred."""
        async with slot:
            request.raw = self._arrived(scope) or await slot.read(self._read(receive), self._settings.body_s)
            self._predictor.find(request)
            inline = self._predictor.inline(request)
            if not request.batch_id:
                return await self._score(request, codec, slot, inline=inline)
            batch = BatchKey.of(request, scope["path"])
            if not self._responses.knows(batch):
                if inline:
                    # Nothing else runs on the loop in the meantime, so no other request can start to wait for it.
                    answer = await self._score(request, codec, slot, inline=True)
                    self._responses.scored(batch, answer)
                    return answer
                return await self._responses.answer(
                    batch, lambda early: self._score_first(batch, request, codec, slot, early)
                )
        # Sent again: outside the slot, because it only waits for the running scoring or reads the cache.
        return await self._responses.again(batch)

    async def _score_first(
        self, batch: BatchKey, request: PredictionRequest, codec: Codec, slot: Slot, early: Early
    ) -> HttpResponse:
        if codec is not SNOWFLAKE:
            return await self._score(request, codec, slot, inline=False)
        return await self._deferral.answer(
            batch, request, lambda: self._score(request, codec, slot, inline=False), early
        )

    async def _score(self, request: PredictionRequest, codec: Codec, slot: Slot, *, inline: bool) -> HttpResponse:
        if inline:
            answer = slot.run_inline(lambda: self._answer(request, codec))
            # After the loop has sent what is written in this turn.
            asyncio.get_running_loop().call_soon(self._record, request, len(answer.body))
            return answer
        answer = await slot.run(lambda: self._logged(request, codec), computing=self._predictor.computes(request))
        self._metrics.count_scored(request, len(answer.body))
        return answer

    def _answer(self, request: PredictionRequest, codec: Codec) -> HttpResponse:
        """The response, which is traced. A failure is logged."""
        try:
            with self._tracing.traced(request):
                return HttpResponse.scored(request, self._predictor.answer(request, codec))
        except Exception as error:
            request_log.log_failure(request, error)
            raise

    def _logged(self, request: PredictionRequest, codec: Codec) -> HttpResponse:
        answer = self._answer(request, codec)
        request_log.log_scored(request, self._settings.log_share)
        return answer

    def _record(self, request: PredictionRequest, reply_bytes: int) -> None:
        self._metrics.count_scored(request, reply_bytes)
        request_log.log_scored(request, self._settings.log_share)

    def _arrived(self, scope: Scope) -> bytes:
        """The body, if it arrived with the head; empty if it has to be waited for."""
        whole: bytes = scope[WHOLE_BODY]() if WHOLE_BODY in scope else b""
        if len(whole) > self._settings.max_body_bytes:
            raise body.too_large(self._settings.max_body_bytes)
        return whole

    async def _read(self, receive: Receive) -> bytes:
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


class PredictionEndpoint:
    """The ASGI application of one prediction route."""

    def __init__(self, route: PredictionRoute, handler: PredictionHandler) -> None:
        self._route, self._handler = route, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route  # as FastAPI's own routes do; the request counters read it
        if scope["method"] == "POST":
            await self._handler.predict(self._route.codec(scope["path_params"]), scope, receive, send)
        else:
            await self._handler.poll(scope, send)


def _request(scope: Scope, budget_s: float) -> PredictionRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    caller = scope[CALLER]
    return PredictionRequest(
        scope["path_params"]["model"],
        headers,
        Deadline.after(budget_s),
        caller=caller.name,
        gateway=caller.gateway,
    )


async def _send(response: HttpResponse, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": list(response.headers)})
    await send({"type": "http.response.body", "body": response.body})
