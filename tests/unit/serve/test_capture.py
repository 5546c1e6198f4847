"""Capture: the captured rows, their files, and the rows lost when the buffer is full or S3 is down."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import TransientError
from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.rows import KeysInBody, Rows, Scored
from app.serve.telemetry.capture import ATTEMPTS
from app.serve.telemetry.capture.sample import chosen_keys, key_texts
from app.serve.telemetry.capture.writer import Capture
from app.settings import ServeSettings

from .fakes import BUCKET, MemoryStore, live_version

AT_NS = 1_790_000_000_123_456_789  # 2026-09-21T14:13:20 UTC


class Counts:
    """Counters with readable values."""

    def __init__(self) -> None:
        self.captured = 0
        self.lost: Counter[str] = Counter()

    def count_captured(self, rows: int) -> None:
        self.captured += rows

    def count_lost(self, reason: str, rows: int) -> None:
        self.lost[reason] += rows


class Setup:
    """A capture whose thread runs only on request, with its store, clock and counters."""

    def __init__(self, **settings: Any) -> None:
        self.store, self.counts, self.now = MemoryStore(), Counts(), 0.0
        chosen = {"capture_share": 1.0, "capture_file_s": 60.0, **settings}
        self.capture = Capture(
            self.store,  # type: ignore[arg-type]
            ServeSettings(bucket=BUCKET, secrets=("s",), **chosen),
            self.counts,
            clock=lambda: self.now,
            check_every_s=3600.0,
        )
        STARTED.append(self.capture)

    def take(self, rows: Rows, batch: str = "b", model: str = "churn", at_ns: int = AT_NS, variant: str = "") -> None:
        headers = {"sf-external-function-query-batch-id": batch, "sf-external-function-current-query-id": "q"}
        call = PredictionRequest(model, headers, Deadline.after(1), at_ns=at_ns, raw=orjson.dumps(rows.matrix.tolist()))
        scores = np.arange(len(rows), dtype=np.float32) / np.float32(3)
        self.capture.take(call, live_version(model), rows, Scored(scores, variant))

    def later(self, seconds: float) -> None:
        self.capture.step()  # as the thread does soon
        self.now += seconds
        self.capture.step()

    def tables(self) -> dict[str, pa.Table]:
        return {uri: pq.read_table(io.BytesIO(body)) for uri, body in self.store.objects.items()}


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Whether the thread has ended."""
    yield
    for capture in STARTED:
        capture.close(10)
    STARTED.clear()


STARTED: list[Capture] = []


def rows(count: int, keys: Any = None, first: float = 0.0, **more: Any) -> Rows:
    matrix = (np.arange(count * 3, dtype=np.float32) + first).reshape(count, 3)
    return Rows(matrix, keys, **more)


def in_body(keys: list[object]) -> KeysInBody:
    """``keys`` inside a body that begins with other content."""
    tokens = [orjson.dumps(key) for key in keys]
    ends = np.cumsum([len(token) + 1 for token in tokens]) + 7
    return KeysInBody(
        b"[[head," + b",".join(tokens) + b"]",
        np.stack([ends - [len(token) + 1 for token in tokens], ends - 1], axis=1),
    )


def test_a_file_contains_the_scored_rows() -> None:
    setup = Setup()
    given = rows(3, in_body([17, "Änna", None]))
    given.matrix[1, 2] = np.nan
    setup.take(given, variant="v1")
    setup.take(rows(2, first=100.0), batch="")
    setup.later(59)
    assert setup.store.objects == {}
    setup.later(1)
    ((uri, table),) = setup.tables().items()
    assert uri.startswith(f"s3://{BUCKET}/churn/serve/capture/date=2026-09-21/141320-")
    assert uri.endswith("-000001.parquet")
    found = table.to_pydict()
    fingerprint = live_version().contract.fingerprint
    assert found["key"] == ["17", "Änna", None, None, None]
    assert found["row"] == [0, 1, 2, 0, 1]
    assert (found["model"], found["version"]) == (["churn"] * 5, ["v1"] * 5)
    assert (found["variant"], found["contract"]) == (["v1"] * 3 + [None] * 2, [fingerprint] * 5)
    assert (found["batch_id"], found["query_id"]) == (["b"] * 3 + [None] * 2, ["q"] * 5)
    assert {at.timestamp() for at in found["time"]} == {1_790_000_000.123456}
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    np.testing.assert_array_equal(
        table["score"].to_numpy(), np.concatenate([np.arange(3), np.arange(2)]).astype(np.float32) / np.float32(3)
    )
    assert found["features"][1] == {"SPENT": 3.0, "ORDERS": 4.0, "VISITS": None}
    assert found["features"][4] == {"SPENT": 103.0, "ORDERS": 104.0, "VISITS": 105.0}
    assert setup.counts.captured == 5
    assert not setup.counts.lost


def test_files_are_grouped_by_model_and_day_and_written_when_full() -> None:
    setup = Setup(capture_file_rows=10)
    setup.take(rows(9))
    setup.take(rows(4), model="fraud")
    setup.take(rows(4), at_ns=AT_NS + 86_400 * 10**9)
    setup.later(1)
    assert setup.store.objects == {}
    setup.take(rows(1))
    setup.later(1)
    assert [uri.rsplit("/", 1)[0] for uri in setup.store.objects] == [
        f"s3://{BUCKET}/churn/serve/capture/date=2026-09-21"
    ]
    setup.later(60)
    assert [uri.split("/", 3)[3].rsplit("/", 1)[0] for uri in setup.store.objects][1:] == [
        "fraud/serve/capture/date=2026-09-21",
        "churn/serve/capture/date=2026-09-22",
    ]
    assert setup.counts.captured == 18


def test_rows_that_cannot_be_scored_are_not_captured() -> None:
    setup = Setup()
    setup.take(rows(4, ["a", "b", "c", "d"], faults={1: "ORDERS is not a number"}))
    setup.later(60)
    (table,) = setup.tables().values()
    assert (table["row"].to_pylist(), table["key"].to_pylist()) == ([0, 2, 3], ["a", "c", "d"])


def test_every_process_samples_the_same_batches() -> None:
    found = []
    for _ in range(2):
        setup = Setup(capture_share=0.2)
        for number in range(500):
            setup.take(rows(1), batch=f"01b0:{number}")
        for number in range(100):
            setup.take(rows(1, first=number), batch="")  # sampled by the body if there is no batch id
        setup.later(60)
        (table,) = setup.tables().values()
        found.append(table["batch_id"].to_pylist())
    assert found[0] == found[1]
    assert 70 < len(found[0]) < 170
    assert 5 < found[0].count(None) < 40


KEYS: list[object] = [*range(3000), *(f"C-{number:05}" for number in range(3000)), None, -1, 2.5, "", "x" * 1000]


def test_sampling_by_key_chooses_the_same_entities_for_each_form_of_the_keys() -> None:
    plain, lazy = chosen_keys(KEYS, 0.1), chosen_keys(in_body(KEYS), 0.1)
    np.testing.assert_array_equal(plain, lazy)
    assert 240 < (plain < 3000).sum() < 360
    assert 240 < ((plain >= 3000) & (plain < 6000)).sum() < 360
    assert set(plain) < set(chosen_keys(KEYS, 0.3))
    shuffled = np.random.default_rng(1).permutation(len(KEYS))
    again = chosen_keys([KEYS[index] for index in shuffled], 0.1)
    assert set(shuffled[again]) == set(plain)
    assert len(chosen_keys(KEYS, 1.0)) == len(KEYS)
    assert len(chosen_keys([], 0.5)) == 0
    assert key_texts(in_body(KEYS), plain) == key_texts(KEYS, plain)


def test_sampling_by_key_keeps_only_the_sampled_rows() -> None:
    setup = Setup(capture_share=0.1, capture_by="key")
    setup.take(rows(3000, in_body(list(range(3000)))))
    setup.take(rows(50), batch="no keys: the batch decides")
    setup.later(60)
    (table,) = setup.tables().values()
    at = chosen_keys(list(range(3000)), 0.1)
    keyed = table.filter(pa.compute.is_valid(table["key"]))
    assert keyed["key"].to_pylist() == [str(number) for number in at]
    assert [features["SPENT"] for features in keyed["features"].to_pylist()] == [number * 3.0 for number in at]
    np.testing.assert_array_equal(keyed["score"].to_numpy(), at.astype(np.float32) / np.float32(3))


def test_an_integer_of_any_size_is_captured_exactly() -> None:
    big = 10**37 + 1
    assert key_texts([big, True, 1.5], np.arange(3)) == [str(big), "true", "1.5"]


def test_rows_beyond_the_buffer_are_lost_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(capture_buffer_bytes=100 * (12 + 4) + 50)
    setup.take(rows(100))
    setup.take(rows(100))
    setup.take(rows(3))  # as many as the buffer still holds
    assert setup.counts.lost == {"no_room": 100}
    setup.later(60)
    assert setup.counts.captured == 103
    setup.take(rows(100))
    setup.later(60)
    assert (setup.counts.captured, setup.counts.lost) == (203, {"no_room": 100})
    assert setup.capture._bytes == 0
    (line,) = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert (line["rows"], line["reason"]) == (100, "no_room")


def test_a_failed_write_is_retried_under_the_same_name() -> None:
    setup = Setup()
    setup.take(rows(5))
    setup.store.failure = TransientError("S3 is slow")
    setup.later(60)
    setup.take(rows(7))  # continues meanwhile
    setup.later(0.5)
    setup.store.failure = None
    setup.later(0.4)
    assert setup.store.objects == {}
    setup.later(0.2)
    assert [uri[-14:] for uri in setup.store.objects] == ["000001.parquet"]
    assert (setup.counts.captured, setup.counts.lost) == (5, {})
    setup.later(60)
    assert setup.counts.captured == 12


def test_a_store_that_stays_down_loses_only_the_rows(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.store.failure = TransientError("S3 is slow")
    setup.take(rows(5, first=31337.125))
    setup.later(60)
    for attempt in range(1, ATTEMPTS):
        assert not setup.counts.lost
        setup.later(2 ** (attempt - 1))
    assert setup.counts.lost == {"write_failed": 5}
    assert setup.capture._bytes == 0
    setup.later(1000)
    assert setup.counts.lost == {"write_failed": 5}
    assert "31337.125" not in str([vars(record) for record in caplog.records])


def test_unexpected_errors_are_counted_and_logged_without_their_message(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.store.failure = RuntimeError("value 31337.125")
    setup.take(rows(5))
    setup.take(rows(2, ["only one"]), model="odd")
    setup.later(60)
    assert setup.counts.lost == {"failed": 7}
    written = str([vars(record) for record in caplog.records])
    assert "RuntimeError" in written
    assert "31337.125" not in written


def test_the_end_writes_the_buffered_rows() -> None:
    setup = Setup()
    setup.take(rows(5))
    setup.take(rows(4), model="fraud")
    setup.capture.close()
    assert (setup.counts.captured, setup.counts.lost) == (9, {})
    assert len(setup.store.objects) == 2
    setup.take(rows(1))
    assert setup.counts.lost == {"no_room": 1}


def test_the_end_does_not_wait_for_a_store_that_hangs() -> None:
    setup = Setup()
    hanging, go_on = threading.Event(), threading.Event()

    def write(uri: str, body: bytes) -> None:
        hanging.set()
        assert go_on.wait(10)

    setup.store.write = write  # type: ignore[method-assign]
    setup.take(rows(5))
    setup.take(rows(4), model="fraud")
    setup.capture._ending.set()
    assert hanging.wait(10)
    setup.capture.close(0.0)
    assert setup.counts.lost == {"ended": 9}
    go_on.set()


def test_an_end_without_captured_rows_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.capture.close()
    assert setup.capture._thread is None
    assert caplog.records == []
