"""Matrix -> scores inside this process: the registered artefact, fetched once, its digest checked, no endpoint to pay for.

One thread a prediction: requests run beside each other, and XGBoost does not hold the interpreter's lock.

The one surprise: models are kept by digest, not by name, and the newest few only, so that a version that just left can still
answer the requests that began with it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np

from app.deploy.live import LiveVersion
from app.errors import PermanentError
from app.ports import ObjectStore
from app.registry.artifact import fetched
from app.serve.request import Call
from app.serve.rows import Rows, Scored
from sagemaker_entry.model import Model

_KEPT = 16
#: A row takes about 0.01 microseconds a tree.
_QUICK_ROUNDS = 1000


class EmbeddedScorer:
    """Scores with the models themselves. Safe in many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._fetching = Lock()

    computes = True

    def prepare(self, live: LiveVersion) -> None:
        """Fetch the model, so that no request waits for it. PermanentError where the artefact is not the registered one."""
        self._model(live)

    def check(self, live: LiveVersion) -> None:
        """Nothing: the model is here."""

    def at_once(self, live: LiveVersion) -> bool:
        """Where the model is in memory, of ordinary size, and need not say why."""
        model = self._models.get(live.artifact_sha256)
        return model is not None and not live.rules.reasons and model.rounds <= _QUICK_ROUNDS

    def score(self, live: LiveVersion, rows: Rows, call: Call) -> Scored:  # noqa: ARG002  # every scorer's signature
        """Scores, finite, in the order of ``rows``. Blocks."""
        model, count = self._model(live), live.rules.reasons
        scores = model.predict(rows.matrix)
        if scores.ndim != 1 or not np.isfinite(scores).all():
            raise PermanentError(f"model {live.model} does not give one finite score a row; train it again")
        return Scored(scores, reasons=model.reasons(rows.matrix, count) if count else None)

    def _model(self, live: LiveVersion) -> Model:
        found = self._models.get(live.artifact_sha256)
        return found if found is not None else self._fetch(live)

    def _fetch(self, live: LiveVersion) -> Model:
        with self._fetching:
            if found := self._models.get(live.artifact_sha256):  # another request was quicker
                return found
            with fetched(self._store, live.artifact_uri, live.artifact_sha256) as artifact:
                model = Model.load(artifact.folder, threads=1)
            if model.contract.fingerprint != live.contract.fingerprint:
                raise PermanentError(f"the artefact of model {live.model} has another contract than its live record")
            self._models[live.artifact_sha256] = model
            if len(self._models) > _KEPT:
                self._models.popitem(last=False)
            return model
