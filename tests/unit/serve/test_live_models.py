"""The live models in memory: loading, switching and unknown names."""

from __future__ import annotations

import itertools
import json

import pytest

from app.deploy.live import LiveVersion, live_uri
from app.errors import NotFound, PermanentError, TransientError, Unauthorized
from app.serve.models.live_models import MAX_RETRY_AFTER_S, RELOAD_AFTER_S, RETRY_AFTER_S, UNKNOWN_FOR_S, LiveModels

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
    assert models.fault is None
    assert models.faults == {"fraud": "PermanentError"}
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


ANYTHING = [
    OSError(28, "No space left on device"),
    RuntimeError("secret"),
    KeyError("no-such-scorer"),
    EOFError(),
    TypeError("'<' not supported"),
    MemoryError(),
    TransientError("S3 is slow"),
    NotFound("there is no artefact"),
]


@pytest.mark.parametrize("failure", ANYTHING, ids=lambda failure: type(failure).__name__)
def test_a_model_that_cannot_be_loaded_does_not_end_the_watch(failure: Exception) -> None:
    def prepare(live: LiveVersion) -> None:
        if live.model == "fraud" and live.version == "v2":
            raise failure

    clock, store = Clock(), MemoryStore(live_version("fraud"), live_version("churn"), live_version("zeta"))
    models = LiveModels(store, BUCKET, clock, prepare)
    models.load()
    for name in ("churn", "fraud", "zeta"):
        store.put(live_version(name, version="v2"))
    models.watch()
    assert {live.model: live.version for live in models.all()} == {"churn": "v2", "fraud": "v1", "zeta": "v2"}
    assert (models.fault, list(models.faults)) == (None, ["fraud"])
    store.put(live_version("zeta", version="v3"))
    store.put(live_version("fraud", version="v3"))
    models.watch()
    assert {live.version for live in models.all()} == {"v2", "v1", "v3"}
    clock.now += RETRY_AFTER_S
    models.watch()
    assert (models.get("fraud").version, models.faults) == ("v3", {})
    assert models.load_failures == {"fraud": 1}


def test_a_model_that_fails_is_tried_again_with_growing_delays() -> None:
    tried = []

    def prepare(live: LiveVersion) -> None:
        tried.append(clock.now)
        raise PermanentError("damaged")

    clock, store = Clock(), MemoryStore(live_version("fraud"))
    models = LiveModels(store, BUCKET, clock, prepare)
    models.load()
    for _ in range(4000):
        models.watch()
        with pytest.raises(PermanentError, match="damaged"):
            models.get("fraud")
        clock.now += 1
    waits = [after - before for before, after in itertools.pairwise(tried)]
    assert waits[:6] == [RETRY_AFTER_S * 2**power for power in range(6)]
    assert set(waits[7:]) == {MAX_RETRY_AFTER_S}
    assert models.load_failures["fraud"] == len(tried)


def test_a_replica_without_any_model_that_can_be_loaded_is_not_ready() -> None:
    store = MemoryStore()
    store.objects[live_uri(BUCKET, "fraud")] = b"[]"
    models = LiveModels(store, BUCKET)
    models.load()
    assert models.fault == "no model can be loaded: fraud"


def test_requests_cannot_fill_the_faults_with_invented_names() -> None:
    store = MemoryStore(live_version())
    models = LiveModels(store, BUCKET)
    models.load()
    store.failure = TransientError("slow")
    for number in range(100):
        with pytest.raises(TransientError):
            models.get(f"invented{number}")
    assert (models.faults, models.load_failures) == ({}, {})


def changed(**fields: object) -> bytes:
    record = json.loads(live_version("fraud").to_json())
    for path, value in fields.items():
        *parents, name = path.split("__")
        inner = record
        for parent in parents:
            inner = inner[parent]
        inner[name] = value
    return json.dumps(record).encode()


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"null",
        b"[" * 100_000,
        changed(scorer="oracle"),
        changed(scorer=["endpoint"]),
        changed(live_from_s="soon"),
        changed(live_from_s=None),
        changed(last_until_s=True),
        changed(live_from_s=float("nan")),
        changed(version=2),
        changed(endpoint=None),
        changed(artifact_sha256=7),
        changed(key=1),
        changed(shares=1),
        changed(rules__reasons="3"),
        changed(rules__threshold="0.5"),
        changed(rules__labels=[1, 2]),
        changed(rules__output="table"),
        changed(rules=[]),
        changed(contract=None),
        changed(contract__columns=[]),
        changed(contract__columns=[{"name": 1, "dtype": "float", "categories": []}]),
        changed(contract__key=[1]),
        changed(unknown_field=1),
    ],
)
def test_a_record_with_anything_wrong_is_damaged(record: bytes) -> None:
    with pytest.raises(PermanentError, match="the record of the live version is damaged"):
        LiveVersion.from_json(record)
