"""The predictor: looks up the live version, decodes the request, scores, encodes the reply; times each phase. Blocks.

A version is looked up once and used to the end. If the endpoint refuses the rows, or no longer has the version's variant, the live
record is read again, and if another version is live, the request is decoded again for it, once. A second refusal, or an unchanged
record, is final and a 4xx, because Snowflake would repeat a 5xx for minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.deploy.live import LiveVersion
from app.serve.admission.query_quota import QueryQuota
from app.serve.codecs.body import is_short, refuse_many, unpack
from app.serve.codecs.codec import Codec
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.rows import Reply, Rows, Scored
from app.serve.scoring.endpoint import EndpointRefusal
from app.serve.scoring.scorer import Scorers

#: Bytes of a body, as received and unpacked: about ten rows of thirty numbers.
_FEW_BYTES = 2048

Take = Callable[[PredictionRequest, LiveVersion, Rows, Scored], None]


class Predictor:
    """Answers requests with the live versions. ``capture`` receives what was scored."""

    def __init__(
        self,
        models: LiveModels,
        scorers: Scorers,
        max_body_bytes: int,
        max_rows: int,
        quota: QueryQuota | None = None,
        capture: Take | None = None,
    ) -> None:
        self._models, self._scorers = models, scorers
        self._max_body_bytes, self._max_rows = max_body_bytes, max_rows
        self._quota, self._capture = quota or QueryQuota(limit=0), capture

    def check(self, model: str) -> None:
        """Raise TransientError if ``model`` is known not to be scorable now. Does no I/O."""
        if live := self._models.peek(model):
            self._scorers[live.scorer].check(live)

    def find(self, request: PredictionRequest) -> None:
        """Fill in ``request.live``, if a version is in memory. Does no I/O."""
        request.live = self._models.peek(request.model, request.query_id, request.caller)

    def inline(self, request: PredictionRequest) -> bool:
        """Whether ``answer`` takes less time than waking a thread for it: few rows, and nothing to wait for."""
        live = request.live
        if live is None or len(request.raw) > _FEW_BYTES or not self._scorers[live.scorer].inline(live):
            return False
        return is_short(request.raw, request.headers.get("content-encoding", ""), _FEW_BYTES)

    def computes(self, request: PredictionRequest) -> bool:
        """Whether ``answer`` keeps a core busy from start to end."""
        return request.live is not None and self._scorers[request.live.scorer].computes

    def answer(self, request: PredictionRequest, codec: Codec) -> Reply:
        """The reply; ``request.version`` is then the version that answered. Looks it up on S3 if ``find`` found none."""
        live = request.live or self._models.get(request.model, request.query_id, request.caller)
        try:
            return self.answer_with(live, request, codec)
        except EndpointRefusal:
            self._models.refresh(request.model)
            current = self._models.get(request.model)
            if current == live:
                raise
            return self.answer_with(current, request, codec)

    def answer_with(self, live: LiveVersion, request: PredictionRequest, codec: Codec) -> Reply:
        """The reply of ``live``; in an experiment, of the version that the request names, if it names one."""
        if live.shares and codec.version:
            live = live.arm(codec.version)
        request.live, request.version = live, live.version
        with request.phase("decode"):
            body = unpack(request.raw, request.headers.get("content-encoding", ""), self._max_body_bytes)
            rows = codec.decode(body, live, request.headers, self._max_rows)
        request.rows, request.compiled = len(rows), rows.compiled
        refuse_many(len(rows), self._max_rows)
        with self._quota.reserved(request.query_id, request.rows, request.caller), request.phase("score"):
            wanted = live if rows.explain else _without_reasons(live)
            scored = self._scorers[live.scorer].score(wanted, rows, request)
            request.record_scored(scored)
        with request.phase("encode"):
            reply = codec.encode(scored, rows, live)
        if self._capture is not None:
            self._capture(request, live, rows, scored)
        return reply


def _without_reasons(live: LiveVersion) -> LiveVersion:
    """``live`` without the reasons that the reply cannot hold; they cost several times as much as the scores."""
    return replace(live, rules=replace(live.rules, reasons=0)) if live.rules.reasons else live
