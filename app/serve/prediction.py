"""One request's way: which version is live -> rows -> scores -> reply, timed phase by phase. Blocks; runs in a thread.

Decided here: a version is taken once and used to the end. Where the endpoint refuses the rows, or no longer has the version's
variant, the version's time is up: the live record is read again, and if another one is live, the request is decoded anew for it,
once. A second refusal, or a record that did not change, is final and a 4xx, for Snowflake would repeat a 5xx for minutes.
"""

from __future__ import annotations

from app.deploy.live import LiveVersion
from app.serve.call import Call
from app.serve.forms import Form
from app.serve.forms.body import TooLarge, unpack
from app.serve.models import LiveModels
from app.serve.rows import Reply
from app.serve.scorers import Scorers
from app.serve.scorers.endpoint import Refused


class Predictor:
    """Answers calls with what is live."""

    def __init__(self, models: LiveModels, scorers: Scorers, max_body_bytes: int, max_rows: int) -> None:
        self._models, self._scorers = models, scorers
        self._max_body_bytes, self._max_rows = max_body_bytes, max_rows

    def check(self, model: str) -> None:
        """Raise TransientError where it is known that ``model`` cannot be scored now. Asks nobody and does not block."""
        if live := self._models.peek(model):
            self._scorers[live.scorer].check(live)

    def answer(self, call: Call, form: Form) -> Reply:
        """The reply; ``call.version`` is then the version that answered."""
        live = self._models.get(call.model, call.query_id)
        try:
            return self.answer_with(live, call, form)
        except Refused:
            self._models.refresh(call.model)
            current = self._models.get(call.model)
            if current == live:
                raise
            return self.answer_with(current, call, form)

    def answer_with(self, live: LiveVersion, call: Call, form: Form) -> Reply:
        """The reply of the version ``live`` and no other."""
        call.live, call.version = live, live.version
        with call.phase("decode"):
            body = unpack(call.raw, call.headers.get("content-encoding", ""), self._max_body_bytes)
            rows = form.decode(body, live, call.headers)
        call.rows = len(rows)
        if len(rows) > self._max_rows:
            raise TooLarge(f"the request has {len(rows)} rows, {self._max_rows} are allowed; send fewer rows at a time")
        with call.phase("score"):
            scored = self._scorers[live.scorer].score(live, rows, call)
            call.variant = scored.variant
        with call.phase("encode"):
            return form.encode(scored, rows, live)
