"""What a request says about itself: ids are bounded before they are kept, logged or traced."""

from __future__ import annotations

import pytest

from app.serve.deadline import Deadline
from app.serve.idempotency.ledger import Ledger
from app.serve.idempotency.records import DeferredBatch
from app.serve.idempotency.response_cache import BatchKey
from app.serve.request import BATCH_HEADER, MAX_ID_CHARS, QUERY_HEADER, PredictionRequest, bounded
from app.serve.telemetry.tracing import _attributes

from .fakes import BUCKET, MemoryStore, live_version

ID = "01b2c3d4-0604-9c5d-0000-00012e1a9cf1"


def request(query_id: str = "", batch_id: str = "", model: str = "churn", caller: str = "") -> PredictionRequest:
    headers = {QUERY_HEADER: query_id, BATCH_HEADER: batch_id}
    return PredictionRequest(model, headers, Deadline.after(1), b"{}", caller=caller)


def test_snowflakes_ids_are_kept_as_they_are() -> None:
    found = request(ID, f"{ID}:1")
    assert (found.query_id, found.batch_id, request().query_id) == (ID, f"{ID}:1", "")


@pytest.mark.parametrize("text", ["x" * (MAX_ID_CHARS + 1), "x" * 60_000, "a\nb", "a\x1b[31m", "\x80", "é"])
def test_other_ids_become_their_digest(text: str) -> None:
    assert bounded(text).startswith("sha256:")
    assert len(bounded(text)) == 71
    assert bounded(text) == bounded(text) != bounded(text + "x")
    found = request(text, text)
    assert found.query_id == found.batch_id == bounded(text)
    assert BatchKey.of(found, "/predict/churn").id == bounded(text)


def test_what_is_traced_is_bounded() -> None:
    traced = _attributes(request("q" * 60_000, "b\n" * 30_000, "m" * 60_000))
    assert all(len(str(value)) <= MAX_ID_CHARS and str(value).isprintable() for value in traced.values())


def test_a_batch_belongs_to_its_caller() -> None:
    ledger = Ledger(MemoryStore(), BUCKET)  # type: ignore[arg-type]
    prefixes = {ledger.prefix("churn", "b-1", caller) for caller in ("gateway", "shop", "root", "shop\nb-1")}
    assert len(prefixes) == 4
    keys = {BatchKey.of(request(batch_id="b-1", caller=caller), "/predict/churn") for caller in ("gateway", "shop")}
    assert len(keys) == 2
    for key in keys:
        accepted = DeferredBatch.of(request(batch_id="b-1", caller=key.caller), key, live_version(), 1.0)
        assert DeferredBatch.from_bytes(accepted.to_bytes()) == accepted
