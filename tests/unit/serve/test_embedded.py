"""The embedded scorer: an artefact is fetched once, and scores only for records with its own contract."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost

from app.deploy.live import LiveVersion
from app.errors import PermanentError
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.rows import Rows
from app.serve.scoring.embedded import EmbeddedScorer
from sagemaker_entry.contract import Contract
from sagemaker_entry.model import Model

from .fakes import CONTRACT, MemoryStore, live_version

REQUEST = PredictionRequest("churn", {}, Deadline.after(60))
ROWS = Rows(np.array([[1, 2, 3]], dtype=np.float32))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small model."""
    matrix = np.random.default_rng(7).normal(size=(50, 3)).astype(np.float32)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(matrix, matrix[:, 0]), 2)
    folder: Path = tmp_path_factory.mktemp("model")
    Model(booster, CONTRACT).save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def published(store: MemoryStore, files: dict[str, bytes]) -> LiveVersion:
    """A live version with an artefact of ``files`` in the store."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(body)
            tar.addfile(item, io.BytesIO(body))
    live = replace(live_version(), scorer="embedded", artifact_sha256=hashlib.sha256(packed.getvalue()).hexdigest())
    store.objects[live.artifact_uri] = packed.getvalue()
    return live


def test_a_record_with_exchanged_columns_is_refused_also_for_a_model_in_memory(files: dict[str, bytes]) -> None:
    store = MemoryStore()
    live = published(store, files)
    scorer = EmbeddedScorer(store)  # type: ignore[arg-type]
    scorer.prepare(live)
    assert len(scorer.score(live, ROWS, REQUEST).scores) == 1
    first, second, third = CONTRACT.columns
    exchanged = replace(live, contract=Contract((second, first, third), CONTRACT.key, CONTRACT.label))
    for use in (lambda: scorer.prepare(exchanged), lambda: scorer.score(exchanged, ROWS, REQUEST)):
        with pytest.raises(PermanentError, match="has another contract than its live record"):
            use()
    assert len(scorer.score(live, ROWS, REQUEST).scores) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model.ubj": None}, r"holds no model\.ubj"),
        ({"contract.json": None}, r"holds no contract\.json"),
        ({"model.ubj": b"{}"}, "cannot be loaded safely"),
        ({"model.ubj": b""}, "damaged"),
        ({"contract.json": b"{"}, "cannot be loaded"),
        ({"contract.json": b"[]"}, "cannot be loaded"),
        ({"contract.json": b"\xff"}, "cannot be loaded"),
        ({"contract.json": b"[" * 100_000}, "cannot be loaded"),
    ],
)
def test_an_artefact_that_is_incomplete_or_damaged_is_refused(
    files: dict[str, bytes], change: dict[str, bytes | None], text: str
) -> None:
    store = MemoryStore()
    live = published(store, {name: body for name, body in {**files, **change}.items() if body is not None})
    with pytest.raises(PermanentError, match=text):
        EmbeddedScorer(store).prepare(live)  # type: ignore[arg-type]


def test_a_forest_of_many_trees_is_not_scored_on_the_loop(files: dict[str, bytes]) -> None:
    store = MemoryStore()
    live = published(store, files)
    scorer = EmbeddedScorer(store)  # type: ignore[arg-type]
    assert not scorer.inline(live)
    scorer.prepare(live)
    assert scorer.inline(live)
    scorer._models[live.artifact_sha256] = replace(scorer._models[live.artifact_sha256], trees=1001)
    assert not scorer.inline(live)
