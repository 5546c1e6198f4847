"""One request's way: which version is live -> rows -> scores -> reply, timed phase by phase. Blocks; runs in a thread.

Decided here: a version is taken once and used to the end. Where the endpoint refuses the rows, or no longer has the version's
variant, the version's time is up: the live record is read again, and if another one is live, the request is decoded anew for it,
once. A second refusal, or a record that did not change, is final and a 4xx, for Snowflake would repeat a 5xx for minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.deploy.live import LiveVersion
from app.serve.admission.query_quota import QueryRows
from app.serve.codecs import Form
from app.serve.codecs.body import TooManyRows, unpack
from app.serve.models.live_models import LiveModels
from app.serve.request import Call
from app.serve.rows import Reply, Rows, Scored
from app.serve.scoring.endpoint import Refused
from app.serve.scoring.scorer import Scorers

#: About ten rows of thirty numbers.
_FEW_BYTES = 2048

Take = Callable[[Call, LiveVersion, Rows, Scored], None]


class Predictor:
    """Answers calls with what is live. ``capture`` takes what was scored."""

    def __init__(
        self,
        models: LiveModels,
        scorers: Scorers,
        max_body_bytes: int,
        max_rows: int,
        query_rows: QueryRows | None = None,
        capture: Take | None = None,
    ) -> None:
        self._models, self._scorers = models, scorers
        self._max_body_bytes, self._max_rows = max_body_bytes, max_rows
        self._query_rows, self._capture = query_rows or QueryRows(limit=0), capture

    def check(self, model: str) -> None:
        """Raise TransientError where it is known that ``model`` cannot be scored now. Asks nobody and does not block."""
        if live := self._models.peek(model):
            self._scorers[live.scorer].check(live)

    def at_once(self, call: Call) -> bool:
        """Whether ``answer`` takes less time than waking a thread for it: few rows, and nothing to wait for."""
        if len(call.raw) > _FEW_BYTES:
            return False
        live = self._models.peek(call.model, call.query_id)
        return live is not None and self._scorers[live.scorer].at_once(live)

    def computes(self, call: Call) -> bool:
        """Whether ``answer`` keeps a core busy from beginning to end."""
        live = self._models.peek(call.model, call.query_id)
        return live is not None and self._scorers[live.scorer].computes

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
        """The reply of ``live`` and nothing else; in an experiment, of the version that the form asks for, if it does."""
        if live.shares and form.version:
            live = live.arm(form.version)
        call.live, call.version = live, live.version
        with call.phase("decode"):
            body = unpack(call.raw, call.headers.get("content-encoding", ""), self._max_body_bytes)
            rows = form.decode(body, live, call.headers)
        call.rows, call.compiled = len(rows), rows.compiled
        if len(rows) > self._max_rows:
            raise TooManyRows(
                f"the request has {len(rows)} rows, {self._max_rows} are allowed; send fewer rows at a time"
            )
        with self._query_rows.reserved(call.query_id, call.rows), call.phase("score"):
            asked = live if rows.explain else _without_reasons(live)
            scored = self._scorers[live.scorer].score(asked, rows, call)
            call.answered_by(scored)
        with call.phase("encode"):
            reply = form.encode(scored, rows, live)
        if self._capture is not None:
            self._capture(call, live, rows, scored)
        return reply


def _without_reasons(live: LiveVersion) -> LiveVersion:
    """``live``, from which nobody wants the reasons that it would give; they cost several times as much as the scores."""
    return replace(live, rules=replace(live.rules, reasons=0)) if live.rules.reasons else live
