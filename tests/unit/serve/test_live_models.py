"""The live models in memory: loading, switching and unknown names."""

from __future__ import annotations

import pytest

from app.deploy.live import live_uri
from app.errors import NotFound, PermanentError, TransientError, Unauthorized
from app.serve.models.live_models import RELOAD_AFTER_S, UNKNOWN_FOR_S, LiveModels

from .fakes import BUCKET, MemoryStore, live_version


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_loading_takes_every_model_and_skips_folders_without_a_live_version() -> None:
    store = MemoryStore(live_version(), live_version("fraud"))
    store.objects[f"s3://{BUCKET}/half-done/run/export/part.parquet"] = b""
    models = LiveModels(store, BUCKET)
    assert models.fault == "the live records were not read yet"
    models.load()
    assert models.fault is None
    assert {live.model for live in models.all()} == {"churn", "fraud"}


@pytest.mark.parametrize(
    "failure", [TransientError("S3 at https://inside is slow"), Unauthorized("arn:aws:secret-role")]
)
def test_a_failed_load_is_reported_without_uris_and_retried_later(failure: Exception) -> None:
    clock, store = Clock(), MemoryStore(live_version())
    models = LiveModels(store, BUCKET, clock)
    store.failure = failure
    models.load()
    assert models.fault == f"the bucket cannot be listed ({type(failure).__name__})"
    store.failure = None
    models.load()
    assert models.fault is not None
    clock.now += RELOAD_AFTER_S
    models.load()
    assert models.fault is None
    assert models.knows("churn")


def test_a_damaged_record_is_reported_and_does_not_affect_others() -> None:
    store = MemoryStore(live_version())
    store.objects[live_uri(BUCKET, "fraud")] = b"{"
    models = LiveModels(store, BUCKET)
    models.load()
    assert models.fault == "the live record of fraud cannot be read (PermanentError)"
    assert models.get("churn").version == "v1"
    with pytest.raises(PermanentError, match="damaged"):
        models.get("fraud")


def test_a_record_of_another_model_is_not_served() -> None:
    store = MemoryStore()
    store.objects[live_uri(BUCKET, "fraud")] = live_version("churn").to_json()
    with pytest.raises(PermanentError, match="another model's"):
        LiveModels(store, BUCKET).get("fraud")


def test_an_unknown_name_is_looked_up_on_s3_only_once_in_an_interval() -> None:
    clock, store = Clock(), MemoryStore()
    models = LiveModels(store, BUCKET, clock)
    for _ in range(3):
        with pytest.raises(NotFound):
            models.get("churn")
    assert len(store.reads) == 1
    store.put(live_version())
    clock.now += UNKNOWN_FOR_S
    assert models.get("churn").version == "v1"
    assert models.get("churn").version == "v1"
    assert len(store.reads) == 2


def test_a_refresh_ignores_the_remembered_unknown_names() -> None:
    store = MemoryStore()
    models = LiveModels(store, BUCKET)
    with pytest.raises(NotFound):
        models.get("churn")
    store.put(live_version())
    assert models.refresh("churn").version == "v1"
    assert models.get("churn").version == "v1"


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 200, "né", "a\n", "-a"])
def test_invalid_model_names_are_never_looked_up_on_s3(name: str) -> None:
    store = MemoryStore()
    with pytest.raises(NotFound) as caught:
        LiveModels(store, BUCKET).get(name)
    assert store.reads == []
    assert str(caught.value) == "no live version of a model of this name exists; run `snowsage deploy` for it"


def test_the_number_of_remembered_unknown_names_is_bounded() -> None:
    models = LiveModels(MemoryStore(), BUCKET)
    for number in range(3000):
        with pytest.raises(NotFound):
            models.get(f"m{number}")
    assert len(models._unknown) <= 1024


def test_a_refresh_switches_the_version_and_a_failed_one_keeps_it() -> None:
    store = MemoryStore(live_version())
    models = LiveModels(store, BUCKET)
    models.load()
    store.put(live_version(version="v2"))
    assert models.get("churn").version == "v1"
    assert models.refresh("churn").version == "v2"
    store.failure = TransientError("slow")
    with pytest.raises(TransientError):
        models.refresh("churn")
    assert models.get("churn").version == "v2"


def test_a_refresh_of_a_deleted_model_stops_serving_it() -> None:
    store = MemoryStore(live_version())
    models = LiveModels(store, BUCKET)
    models.load()
    store.objects.clear()
    with pytest.raises(NotFound):
        models.refresh("churn")
    assert not models.knows("churn")


def test_missing_permissions_are_not_caller_errors() -> None:
    store = MemoryStore()
    store.failure = Unauthorized("denied")
    with pytest.raises(PermanentError):
        LiveModels(store, BUCKET).get("churn")
