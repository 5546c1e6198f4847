"""The embedded scorer: scores inside this process, with the registered artefact, fetched once and checked by its digest.

Each prediction uses one thread: requests run in parallel, and XGBoost releases the interpreter's lock. The newest models are
kept, by digest, so that a version that was just replaced can still answer the requests that started with it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from threading import Lock

import numpy as np

from app import log
from app.deploy.live import LiveVersion
from app.errors import PermanentError
from app.ports import ObjectStore
from app.registry.artifact import fetched, load
from app.serve.request import PredictionRequest
from app.serve.rows import Rows, Scored
from sagemaker_entry.forest.choice import Predictor
from sagemaker_entry.model import Model

_logger = logging.getLogger(__name__)

_KEPT = 16
#: A row takes about 0.01 microseconds a tree.
_INLINE_TREES = 1000


class EmbeddedScorer:
    """Scores with the models themselves. Thread-safe."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._fetching = Lock()
        #: What evaluates the trees of each artefact in memory, by digest: ``compiled`` or ``xgboost``.
        self.predictors: dict[str, str] = {}

    computes = True

    def prepare(self, live: LiveVersion) -> None:
        """Fetch the model, so that no request waits for it. Raises PermanentError if the artefact is not the registered one."""
        self._model(live)

    def check(self, live: LiveVersion) -> None:
        """Never fails: the model is in this process."""

    def inline(self, live: LiveVersion) -> bool:
        """True if the model is in memory, of ordinary size, and gives no reasons."""
        model = self._models.get(live.artifact_sha256)
        return model is not None and not live.rules.reasons and model.trees <= _INLINE_TREES

    def score(self, live: LiveVersion, rows: Rows, request: PredictionRequest) -> Scored:  # noqa: ARG002  # every scorer's signature
        """Scores, finite, in the order of ``rows``. Blocks."""
        model, count = self._model(live), live.rules.reasons
        scores = model.predict(rows.matrix)
        if scores.ndim != 1 or not np.isfinite(scores).all():
            raise PermanentError(f"model {live.model} does not return one finite score a row; train it again")
        return Scored(scores, reasons=model.reasons(rows.matrix, count) if count else None)

    def _model(self, live: LiveVersion) -> Model:
        """The model of ``live``. Raises PermanentError if it has another contract, also if another record fetched it before."""
        found = self._models.get(live.artifact_sha256) or self._fetch(live)
        if found.contract.fingerprint != live.contract.fingerprint:
            raise PermanentError(
                f"the artefact of model {live.model} has another contract than its live record; run `snowsage deploy` again"
            )
        return found

    def _fetch(self, live: LiveVersion) -> Model:
        with self._fetching:
            if found := self._models.get(live.artifact_sha256):  # another request was first
                return found
            with fetched(self._store, live.artifact_uri, live.artifact_sha256) as artifact:
                model = load(artifact, threads=1)
            _log_predictor(live, model.predictor)
            self.predictors[live.artifact_sha256] = model.predictor.name
            self._models[live.artifact_sha256] = model
            if len(self._models) > _KEPT:
                dropped, _ = self._models.popitem(last=False)
                del self.predictors[dropped]
            return model


def _log_predictor(live: LiveVersion, predictor: Predictor) -> None:
    level = logging.WARNING if predictor.distrusted else logging.INFO
    about = {"reason": predictor.reason} if predictor.reason else {}
    log.event(_logger, level, "model loaded", model=live.model, version=live.version, predictor=predictor.name, **about)
