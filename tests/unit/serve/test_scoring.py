"""Scoring through the endpoint port, and the version that scores a request."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deploy.live import LiveVersion
from app.errors import CallerError, NotFound, PermanentError, TransientError, Unauthorized
from app.ports import Invocation, Invoked
from app.serve.codecs import Codec
from app.serve.deadline import Deadline
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.rows import Reply, Rows
from app.serve.scoring.endpoint import MAX_CHUNK_BYTES, EndpointRefusal, EndpointScorer, chunks
from app.serve.scoring.predictor import Predictor
from sagemaker_entry import npy
from sagemaker_entry.contract import Column, Contract
from tests.unit.serve.fakes import status_of

from .fakes import BUCKET, FakeEndpoint, MemoryStore, RawEndpoint, live_version

LIVE = live_version()
MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def call() -> PredictionRequest:
    return PredictionRequest("churn", {}, Deadline.after(10))


def score(endpoint: FakeEndpoint, live: LiveVersion, matrix: np.ndarray) -> np.ndarray:
    return EndpointScorer(endpoint).score(live, Rows(matrix), call()).scores


@given(st.integers(1, 50), st.integers(1, 9), st.integers(1, 2000))
def test_chunks_contain_whole_rows_in_order_below_the_limit(rows: int, features: int, max_bytes: int) -> None:
    matrix = np.arange(rows * features, dtype=np.float32).reshape(rows, features)
    parts = list(chunks(matrix, 4 * features, max_bytes))
    assert np.array_equal(np.concatenate(parts), matrix)
    assert all(len(part) == 1 or len(npy.encode(part)) < max_bytes for part in parts)


def test_a_large_matrix_is_sent_in_chunks_and_scored_in_order() -> None:
    matrix = np.zeros((2_000_000, 3), dtype=np.float32)
    matrix[:, 0] = np.arange(2_000_000) % 65_521
    endpoint = FakeEndpoint()
    assert np.array_equal(score(endpoint, LIVE, matrix), matrix[:, 0])
    assert len(endpoint.bodies) == 5
    assert max(map(len, endpoint.bodies)) < MAX_CHUNK_BYTES


def test_chunks_are_sent_concurrently_up_to_the_limit() -> None:
    under_way, most, both = 0, 0, threading.Barrier(2, timeout=10)
    counting = threading.Lock()

    def answer(_: str, matrix: np.ndarray, __: str) -> bytes:
        nonlocal under_way, most
        with counting:
            under_way += 1
            most = max(most, under_way)
        both.wait()  # passes only if two chunks are in progress
        with counting:
            under_way -= 1
        return npy.encode(matrix[:, 0].copy())

    matrix = np.zeros((6 * 400_000, 3), dtype=np.float32)
    matrix[:, 0] = np.arange(len(matrix)) % 65_521
    scorer = EndpointScorer(FakeEndpoint(answer), in_flight=2)
    scored = scorer.score(replace(LIVE, variant="v1"), Rows(matrix), call())
    assert np.array_equal(scored.scores, matrix[:, 0])
    assert (scored.variant, most) == ("v1", 2)


def test_after_a_failed_chunk_the_remaining_ones_are_not_sent() -> None:
    def answer(_: str, matrix: np.ndarray, __: str) -> bytes:
        raise TransientError("later")

    endpoint = FakeEndpoint(answer)
    with pytest.raises(TransientError):
        EndpointScorer(endpoint, in_flight=1).score(LIVE, Rows(np.zeros((4_000_000, 3), np.float32)), call())
    assert len(endpoint.bodies) < 10


def test_without_a_named_variant_the_first_chunks_variant_scores_all() -> None:
    def choose(invocation: Invocation) -> Invoked:
        return Invoked(npy.encode(npy.decode(invocation.body)[:, 0].copy()), invocation.variant or "canary")

    endpoint = RawEndpoint(choose)
    scored = EndpointScorer(endpoint).score(LIVE, Rows(np.zeros((1_000_000, 3), np.float32)), call())
    assert [invocation.variant for invocation in endpoint.invocations] == ["", "canary", "canary"]
    assert scored.variant == "canary"


def test_no_rows_need_no_call() -> None:
    endpoint = FakeEndpoint()
    assert score(endpoint, LIVE, np.empty((0, 3), np.float32)).shape == (0,)
    assert endpoint.bodies == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "not a numpy array"),
        (b"0.5\n0.5", "not a numpy array"),
        (npy.encode(np.array(["a", "b"], dtype=object).astype("U1")), "not a numpy array of numbers"),
        (npy.encode(np.zeros(2)), "float64"),
        (npy.encode(np.zeros(3, np.float32)), "for 2 rows"),
        (npy.encode(np.zeros((2, 1), np.float32)), "for 2 rows"),
        (npy.encode(np.zeros((2, 3), np.float32)), "for 2 rows"),
        (npy.encode(np.array([0.5, np.nan], np.float32)), "not finite"),
        (npy.encode(np.array([0.5, np.inf], np.float32)), "not finite"),
        (npy.encode(np.zeros(2, np.float32))[:-4], "not a numpy array"),
    ],
)
def test_an_invalid_response_is_an_error_and_never_a_score(answer: bytes, text: str) -> None:
    with pytest.raises(PermanentError, match=text):
        score(FakeEndpoint(lambda *_: answer), LIVE, MATRIX)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (CallerError("no"), EndpointRefusal),
        (NotFound("no"), PermanentError),
        (Unauthorized("no"), PermanentError),
        (TransientError("later", retry_after_s=7), TransientError),
        (PermanentError("never"), PermanentError),
    ],
)
def test_errors_of_the_endpoint_are_translated(raised: Exception, seen: type[Exception]) -> None:
    def fail(*_: object) -> bytes:
        raise raised

    with pytest.raises(seen):
        score(FakeEndpoint(fail), LIVE, MATRIX)


def run_against(
    endpoint_runs: Contract, store: MemoryStore, models: LiveModels
) -> tuple[bytes, PredictionRequest, FakeEndpoint]:
    def only_its_own(_: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        if fingerprint != endpoint_runs.fingerprint:
            raise CallerError("another contract")
        return npy.encode(np.zeros(len(matrix), np.float32))

    endpoint, made = FakeEndpoint(only_its_own), call()
    codec = Codec(
        decode=lambda body, live, headers, most: Rows(np.zeros((2, len(live.contract.names)), np.float32)),
        encode=lambda scored, rows, live: Reply(live.version.encode()),
    )
    reply = Predictor(models, {"endpoint": EndpointScorer(endpoint)}, max_body_bytes=1000, max_rows=100).answer(
        made, codec
    )
    return reply.body, made, endpoint


NEXT = live_version(version="v2", contract=Contract((Column("SPENT"),), ("CUSTOMER_ID",), "CHURNED"))


def test_a_rejection_during_a_switch_is_retried_with_the_next_version() -> None:
    store = MemoryStore(LIVE)
    models = LiveModels(store, BUCKET)
    models.load()
    store.put(NEXT)
    reply, call, endpoint = run_against(NEXT.contract, store, models)
    assert (reply, call.version, call.rows, len(endpoint.bodies)) == (b"v2", "v2", 2, 2)
    assert set(call.seconds) == {"decode", "score", "encode"}


def test_a_rejection_without_a_next_version_is_final_and_not_retried() -> None:
    store = MemoryStore(LIVE)
    models = LiveModels(store, BUCKET)
    models.load()
    reads = len(store.reads)
    with pytest.raises(EndpointRefusal) as caught:
        run_against(NEXT.contract, store, models)
    assert status_of(caught.value) == 400
    assert len(store.reads) == reads + 1


def test_a_second_rejection_is_final() -> None:
    store = MemoryStore(LIVE)
    models = LiveModels(store, BUCKET)
    models.load()
    store.put(NEXT)
    with pytest.raises(EndpointRefusal):
        run_against(Contract((Column("OTHER"),), ("CUSTOMER_ID",), "CHURNED"), store, models)
