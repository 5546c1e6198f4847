"""Readiness: the reader is compiled, the live records and models are loaded, and the process is not stopping."""

from __future__ import annotations

import logging

import pytest

from app.deploy.live import LiveVersion
from app.errors import PermanentError, TransientError
from app.serve.models.live_models import LiveModels
from app.serve.process.readiness import Readiness

from .fakes import BUCKET, MemoryStore, live_version


def nothing() -> None:
    return None


def test_the_reasons_disappear_one_by_one() -> None:
    store = MemoryStore(live_version())
    models = LiveModels(store, BUCKET)
    readiness = Readiness(models, nothing)
    assert readiness.reasons == ["the compiled reader is not warm yet", "the live records were not read yet"]
    readiness.check_again()
    assert readiness.reasons == ["the compiled reader is not warm yet"]
    readiness.prepare()
    assert readiness.reasons == []
    readiness.drain()
    assert readiness.reasons == ["the service is shutting down"]


def test_the_models_are_logged_once_prepared(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="app.serve"):
        Readiness(LiveModels(MemoryStore(live_version()), BUCKET), nothing).prepare()
        Readiness(LiveModels(MemoryStore(), BUCKET), nothing).prepare()
    logged = [vars(record)["fields"] for record in caplog.records if record.getMessage() == "ready"]
    assert [line["models"].partition(";")[0] for line in logged] == ["churn v1", "none"]


def test_unreadable_records_are_a_reason() -> None:
    store = MemoryStore(live_version())
    store.failure = TransientError("at https://inside")
    readiness = Readiness(LiveModels(store, BUCKET), nothing)
    readiness.prepare()
    assert readiness.reasons == ["the bucket cannot be listed (TransientError)"]


def test_a_model_that_cannot_be_loaded_is_a_reason() -> None:
    def prepare(live: LiveVersion) -> None:
        raise PermanentError("the artefact's digest is another")

    readiness = Readiness(LiveModels(MemoryStore(live_version()), BUCKET, prepare=prepare), nothing)
    readiness.prepare()
    assert readiness.reasons == ["no model can be loaded: churn"]


def test_a_reader_that_cannot_be_compiled_is_a_reason() -> None:
    def fail() -> None:
        raise RuntimeError("no such instruction")

    readiness = Readiness(LiveModels(MemoryStore(live_version()), BUCKET), fail)
    readiness.prepare()
    assert readiness.reasons == ["the compiled reader fails (RuntimeError)"]
