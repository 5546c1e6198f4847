"""Requests for predictions, on the event loop: let in, read, looked up among those answered before, scored in a thread, answered.

The event loop lets requests in and moves bytes: a request's whole way from bytes to bytes runs in one thread, of as many as
cores where it computes, of a larger pool where it waits for an endpoint. Only a few rows for a model in memory are scored on the
loop itself: that takes about a tenth of a millisecond, less than waking a thread and being woken by it.

The one surprise: all of it is bare ASGI, without request and response objects, and ``Shortcut`` finds the two busiest routes before
the framework is asked, for its wrapping costs as much as a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serve.admission.slots import Place, Places, caller_of
from app.serve.codecs import NAMED, SNOWFLAKE, Form, body, media_types
from app.serve.codecs.open_inference import Exchange
from app.serve.deadline import Deadline
from app.serve.http.load_shedding import NAMED_PATH, SNOWFLAKE_PATH
from app.serve.http.middleware import CALLER
from app.serve.idempotency.deferral import Deferral
from app.serve.idempotency.response_cache import Batch, Early, Replays
from app.serve.models.live_models import LiveModels
from app.serve.request import USER_HEADER, Call
from app.serve.response import Answer
from app.serve.scoring.predictor import Predictor
from app.serve.telemetry.metrics import Metrics
from app.serve.telemetry.request_log import record
from app.serve.telemetry.tracing import Tracing
from app.settings import ServeSettings


class Predictions:
    """What answers requests for predictions."""

    def __init__(
        self,
        settings: ServeSettings,
        models: LiveModels,
        predictor: Predictor,
        metrics: Metrics,
        places: Places,
        replays: Replays,
        deferral: Deferral,
        tracing: Tracing,
    ) -> None:
        self._settings, self._models, self._predictor, self._metrics = settings, models, predictor, metrics
        self._places, self._replays, self._deferral, self._tracing = places, replays, deferral, tracing

    async def predict(self, form: Form, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for predictions in ``form``: bytes in, bytes out."""
        call = _call(scope, self._settings.budget_s)
        media_types.check(call.headers, binary=form.binary)
        body.check_length(call.headers, self._settings.max_body_bytes)
        self._predictor.check(call.model)
        model = call.model if self._models.knows(call.model) else ""
        place = self._places.place(call, model, caller_of(call.headers.get(USER_HEADER, ""), call.caller))
        answer = await self._once(call, form, scope["path"], place, receive)
        await answer.send(send)

    async def poll(self, scope: Scope, send: Send) -> None:
        """Answer a request for what became of a batch that was deferred."""
        answer = await self._deferral.poll(_call(scope, self._settings.budget_s))
        await answer.send(send)

    async def _once(self, call: Call, form: Form, path: str, place: Place, receive: Receive) -> Answer:
        """The answer to a batch that may have been sent before, and may be deferred where the form is Snowflake's."""
        async with place:
            call.raw = await place.read(self._read(receive), self._settings.body_s)
            if not call.batch_id:
                return await self._score(call, form, place)
            batch = Batch.of(call, path)
            if not self._replays.knows(batch):
                if self._predictor.at_once(call):
                    # Nothing else runs on the loop meanwhile, so nobody can come to wait for it.
                    answer = await self._score(call, form, place)
                    self._replays.scored(batch, answer)
                    return answer
                return await self._replays.answer(batch, lambda early: self._first(batch, call, form, place, early))
        # Sent again: whoever only waits for another's scoring, or for nothing, leaves the place to others.
        return await self._replays.again(batch)

    async def _first(self, batch: Batch, call: Call, form: Form, place: Place, early: Early) -> Answer:
        if form is not SNOWFLAKE:
            return await self._score(call, form, place)
        return await self._deferral.answer(batch, call, lambda: self._score(call, form, place), early)

    async def _score(self, call: Call, form: Form, place: Place) -> Answer:
        if self._predictor.at_once(call):
            answer = place.run_at_once(lambda: self._answer(call, form))
        else:
            answer = await place.run(lambda: self._answer(call, form), computing=self._predictor.computes(call))
        self._metrics.count_scored(call, len(answer.body))
        return answer

    def _answer(self, call: Call, form: Form) -> Answer:
        with self._tracing.traced(call), record(call, self._settings.log_share):
            return Answer.to(call, self._predictor.answer(call, form))

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


class Predicting:
    """A route that answers in one form.

    ``form_for``: the form of a request, by the path's parameters.
    """

    def __init__(self, path: str, predictions: Predictions, form_for: Callable[[Mapping[str, str]], Form]) -> None:
        self.path, self._predictions, self._form_for = path, predictions, form_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self  # as the framework's own routes do, for the counters
        if scope["method"] == "POST":
            await self._predictions.predict(self._form_for(scope["path_params"]), scope, receive, send)
        else:
            await self._predictions.poll(scope, send)


def _inference(path_parameters: Mapping[str, str]) -> Form:
    version = path_parameters.get("version", "")
    exchange = Exchange(version)
    return Form(exchange.decode, exchange.encode, version, binary=True)


_FORMS: Mapping[str, Callable[[Mapping[str, str]], Form]] = {
    SNOWFLAKE_PATH: lambda _: SNOWFLAKE,
    NAMED_PATH: lambda _: NAMED,
    "/v2/models/{model}/infer": _inference,
    "/v2/models/{model}/versions/{version}/infer": _inference,
}


def routes(predictions: Predictions) -> dict[str, Predicting]:
    """All routes of predictions, by path."""
    return {path: Predicting(path, predictions, form_for) for path, form_for in _FORMS.items()}


class Shortcut:
    """ASGI middleware: POST to one of the two ``busiest`` routes goes straight there."""

    def __init__(self, app: ASGIApp, busiest: Mapping[str, ASGIApp]) -> None:
        self._app, self._snowflake, self._named = app, busiest[SNOWFLAKE_PATH], busiest[NAMED_PATH]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = self._app
        if scope["type"] == "http" and scope["method"] == "POST":
            # As the framework's own patterns: a name is whatever holds no slash.
            empty, first, *rest = scope["path"].split("/")
            if not empty and first == "predict" and len(rest) == 1 and rest[0]:
                target = self._snowflake
            elif not empty and first == "models" and len(rest) == 2 and rest[0] and rest[1] == "predict":
                target = self._named
            if target is not self._app:
                scope["path_params"] = {"model": rest[0]}
        await target(scope, receive, send)


def _call(scope: Scope, budget_s: float) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(scope["path_params"]["model"], headers, Deadline.after(budget_s), caller=scope[CALLER].name)
