"""Experiments: the version of each row, and scores that equal those of that version."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from app.deploy.live import LiveVersion, Share
from app.errors import PermanentError, TransientError
from app.ports import Invocation, Invoked
from app.serve.codecs.jit.key_hash import hashes
from app.serve.codecs.named_rows import encode_reply
from app.serve.codecs.snowflake import decode
from app.serve.deadline import Deadline
from app.serve.idempotency.chunked_scorer import ChunkedScorer
from app.serve.idempotency.duration_estimate import DurationEstimates
from app.serve.models.traffic_split import by_key, by_name
from app.serve.request import PredictionRequest
from app.serve.rows import Assignment, KeysInBody, Rows, Scored
from app.serve.scoring.embedded import EmbeddedScorer
from app.serve.scoring.endpoint import EndpointRefusal, EndpointScorer
from app.serve.scoring.experiment import ExperimentScorer
from app.serve.telemetry.capture.sample import chosen_keys
from sagemaker_entry import npy
from sagemaker_entry.model import Model
from tests.unit import churn

from .fakes import BUCKET, CONTRACT, MemoryStore, live_version

KEYS = 100_000


def experiment(*shares: float, key: str | None = "CUSTOMER_ID", **changes: Any) -> LiveVersion:
    """``v1`` and its challengers, each with its own variant."""
    arms = tuple(
        Share(f"v{at}", f"variant-{at}", share, f"s3://{BUCKET}/{at}.tar.gz", f"{at}" * 64)
        for at, share in enumerate(shares, start=1)
    )
    first = arms[0]
    live = replace(live_version(key=key), version=first.version, variant=first.variant, shares=arms, **changes)
    return replace(live, artifact_uri=first.artifact_uri, artifact_sha256=first.artifact_sha256)


HALVES, TENTH = experiment(0.5, 0.5), experiment(0.9, 0.1)


def call(batch: str = "", query: str = "") -> PredictionRequest:
    headers = {"sf-external-function-query-batch-id": batch, "sf-external-function-current-query-id": query}
    return PredictionRequest("churn", headers, Deadline.after(10))


def in_body(keys: list[Any]) -> KeysInBody:
    """``keys`` as they occur in a body."""
    tokens = [key if isinstance(key, bytes) else orjson.dumps(key) for key in keys]
    ends = np.cumsum([len(token) + 1 for token in tokens])
    return KeysInBody(b",".join(tokens), np.stack([ends - [len(each) + 1 for each in tokens], ends - 1], axis=1))


# --- assignment of rows to versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [range(KEYS), [f"customer-{at}" for at in range(KEYS)]])
@pytest.mark.parametrize("shares", [(0.9, 0.1), (0.5, 0.5), (0.99, 0.01), (0.2, 0.3, 0.5)])
def test_each_version_is_assigned_its_share_of_the_keys(keys: Any, shares: tuple[float, ...]) -> None:
    rows = np.bincount(by_key(experiment(*shares), list(keys)), minlength=len(shares))
    for found, share in zip(rows, shares, strict=True):
        spread = (KEYS * share * (1 - share)) ** 0.5
        assert abs(found - KEYS * share) < 4 * spread


def test_a_key_has_the_same_version_in_every_process_batch_and_decoder() -> None:
    keys = [None, 17, "17", "Änna", "", -3, 10**15, "C-0001"]
    assert by_key(HALVES, keys).tolist() == [1, 1, 1, 1, 0, 0, 1, 0]
    assert by_key(HALVES, in_body(keys)).tolist() == by_key(HALVES, keys).tolist()
    assert [int(by_key(HALVES, [key])[0]) for key in keys] == by_key(HALVES, keys).tolist()


def test_every_notation_of_a_number_is_the_same_key() -> None:
    written = [b"17.5", b"17.50", b"1.75e1", b"1.75E+1", b'"x"', b"123456789012345678901234", b"true", b"5"]
    read = [17.5, 17.5, 17.5, 17.5, "x", float(123456789012345678901234), True, 5]
    assert hashes(in_body(written)).tolist() == hashes(read).tolist()
    assert len(set(hashes(in_body(written[:4])).tolist())) == 1


def test_a_challenger_with_a_larger_share_keeps_its_entities() -> None:
    keys = list(range(10_000))
    tenth, fifth = (set(np.flatnonzero(by_key(experiment(1 - share, share), keys))) for share in (0.1, 0.2))
    assert tenth < fifth


def test_experiments_and_the_captured_sample_are_independent_of_each_other() -> None:
    keys = list(range(KEYS))
    first = by_key(HALVES, keys)
    other = by_key(replace(HALVES, model="fraud"), keys)
    sampled = np.zeros(KEYS, dtype=np.intp)
    sampled[chosen_keys(keys, 0.5)] = 1
    for one, two in ((first, other), (first, sampled)):
        both = int((one & two).sum())
        assert abs(both - KEYS / 4) < 4 * (KEYS * 0.25 * 0.75) ** 0.5


def test_batches_without_keys_are_assigned_by_name() -> None:
    assert [by_name(TENTH, place) for place in (0, int(0.899 * 2**64), int(0.901 * 2**64), 2**64 - 1)] == [0, 0, 1, 1]


# --- scores by the model of each version ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boosters() -> dict[str, xgboost.Booster]:
    """Boosters by variant, each with a different seed."""
    found = {}
    for at in (1, 2, 3):
        chance = np.random.default_rng(at)
        features = chance.normal(size=(200, 3)).astype(np.float32)
        label = (features.sum(axis=1) + chance.normal(size=200) > 0).astype(np.float32)
        found[f"variant-{at}"] = xgboost.train(
            {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, xgboost.DMatrix(features, label), 5
        )
    return found


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    chance = np.random.default_rng(9)
    found = chance.normal(size=(1000, 3)).astype(np.float32)
    found[chance.random(found.shape) < 0.1] = np.nan
    return found


class Variants:
    """``ScoringEndpoint`` with a model for each variant. ``chosen``: the variant for requests that name none."""

    def __init__(self, boosters: dict[str, xgboost.Booster], chosen: Callable[[], str] = lambda: "") -> None:
        self.boosters, self.chosen = boosters, chosen
        self.asked: list[tuple[str, int]] = []
        self.failing: dict[str, Exception] = {}

    def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:  # the port's signature
        given = npy.decode(invocation.body)
        self.asked.append((invocation.variant, len(given)))
        answering = invocation.variant or self.chosen()
        if answering in self.failing:
            raise self.failing[answering]
        if answering not in self.boosters:
            return Invoked(npy.encode(np.zeros(len(given), np.float32)), answering)
        return Invoked(npy.encode(self.boosters[answering].inplace_predict(given)), answering)


def own_scores(boosters: dict[str, xgboost.Booster], matrix: np.ndarray, at: np.ndarray) -> np.ndarray:
    every = np.stack([booster.inplace_predict(matrix) for booster in boosters.values()])
    return every[at, np.arange(len(matrix))]


@pytest.mark.parametrize("shares", [(0.9, 0.1), (0.3, 0.3, 0.4)])
def test_each_row_is_scored_bit_for_bit_by_its_version(boosters: Any, matrix: Any, shares: Any) -> None:
    live = experiment(*shares)
    endpoint = Variants(boosters)
    scored = ExperimentScorer(EndpointScorer(endpoint), parallel=4).score(live, Rows(matrix, list(range(1000))), call())
    assert scored.assignment is not None
    assert scored.assignment.at.tolist() == by_key(live, list(range(1000))).tolist()
    assert scored.scores.tobytes() == own_scores(boosters, matrix, scored.assignment.at).tobytes()
    assert sorted(endpoint.asked) == [(share.variant, rows) for share, rows in scored.assignment.counts()]


def test_the_division_into_batches_does_not_change_scores(boosters: Any, matrix: Any) -> None:
    scorer, keys = ExperimentScorer(EndpointScorer(Variants(boosters)), parallel=4), [f"k{at}" for at in range(1000)]
    whole = scorer.score(HALVES, Rows(matrix, keys), call())
    parts = [
        scorer.score(HALVES, Rows(matrix[at : at + 7], keys[at : at + 7]), call()).scores for at in range(0, 1000, 7)
    ]
    assert np.concatenate(parts).tobytes() == whole.scores.tobytes()
    sliced = ChunkedScorer(scorer, DurationEstimates(), 10.0, Event()).score(HALVES, Rows(matrix, keys), call())
    assert sliced.scores.tobytes() == whole.scores.tobytes()
    assert sliced.assignment is not None
    assert whole.assignment is not None
    assert sliced.assignment.label() == whole.assignment.label()


def test_the_embedded_scorer_uses_the_artefact_of_each_version(boosters: Any, matrix: Any, tmp_path: Path) -> None:
    live, store = embedded(boosters, tmp_path)
    scorer = ExperimentScorer(EmbeddedScorer(store))  # type: ignore[arg-type]
    scorer.prepare(live)
    reads = len(store.reads)
    assert (reads, scorer.inline(live)) == (2, True)
    scored = scorer.score(live, Rows(matrix, list(range(1000))), call())
    assert scored.assignment is not None
    assert scored.scores.tobytes() == own_scores(boosters, matrix, scored.assignment.at).tobytes()
    assert (scored.variant, len(store.reads)) == ("", reads)


def test_reasons_of_all_versions_are_merged_in_order(boosters: Any, matrix: Any, tmp_path: Path) -> None:
    live, store = embedded(boosters, tmp_path)
    live = replace(live, rules=replace(live.rules, reasons=2))
    scorer = ExperimentScorer(EmbeddedScorer(store))  # type: ignore[arg-type]
    scored = scorer.score(live, Rows(matrix, list(range(1000))), call())
    assert scored.assignment is not None
    assert scored.reasons is not None
    for place, arm in enumerate(live.arms):
        rows = np.flatnonzero(scored.assignment.at == place)
        alone = EmbeddedScorer(store).score(arm, Rows(matrix[rows]), call())  # type: ignore[arg-type]
        assert alone.reasons is not None
        assert np.array_equal(scored.reasons.features[rows], alone.reasons.features)
        assert scored.reasons.contributions[rows].tobytes() == alone.reasons.contributions.tobytes()


def embedded(boosters: dict[str, xgboost.Booster], folder: Path) -> tuple[LiveVersion, MemoryStore]:
    """Two of the three versions, as artefacts in a store."""
    store, shares = MemoryStore(), []
    for share in TENTH.shares:
        (folder / share.variant).mkdir()
        Model(boosters[share.variant], CONTRACT).save(folder / share.variant)
        body, digest = churn.packed(folder / share.variant)
        store.objects[share.artifact_uri] = body
        shares.append(replace(share, artifact_sha256=digest))
    live = replace(TENTH, scorer="embedded", shares=tuple(shares), artifact_sha256=shares[0].artifact_sha256)
    return live, store


# --- without keys -----------------------------------------------------------------------------------------------------------


def test_without_keys_the_endpoint_chooses_the_variant_which_gives_the_version(boosters: Any, matrix: Any) -> None:
    endpoint = Variants(boosters, lambda: "variant-2")
    scored = ExperimentScorer(EndpointScorer(endpoint), parallel=4).score(TENTH, Rows(matrix), call())
    assert endpoint.asked == [("", 1000)]
    assert scored.assignment is not None
    assert (scored.assignment.label(), scored.variant) == ("v2", "variant-2")
    assert scored.scores.tobytes() == boosters["variant-2"].inplace_predict(matrix).tobytes()


@pytest.mark.parametrize("sliced", [False, True])
def test_without_keys_the_variant_of_the_first_chunk_scores_all(boosters: Any, sliced: bool) -> None:
    matrix = np.zeros((1_000_000, 3), np.float32)
    turns = iter(["variant-2", *["variant-1"] * 20])
    endpoint = Variants(boosters, lambda: next(turns))
    scorer: Any = ExperimentScorer(EndpointScorer(endpoint), parallel=4)
    if sliced:
        matrix, scorer = matrix[:2000], ChunkedScorer(scorer, DurationEstimates(), 10.0, Event())
    scored = scorer.score(TENTH, Rows(matrix), call())
    assert [variant for variant, _ in endpoint.asked] == ["", *["variant-2"] * (len(endpoint.asked) - 1)]
    assert len(endpoint.asked) > 1
    assert (scored.assignment.counts(), scored.variant) == ([(TENTH.shares[1], len(matrix))], "variant-2")


def test_a_variant_missing_in_the_live_record_is_an_endpoint_error(boosters: Any, matrix: Any) -> None:
    with pytest.raises(EndpointRefusal, match="a variant that the live record does not contain"):
        ExperimentScorer(EndpointScorer(Variants(boosters, lambda: "other")), parallel=4).score(
            TENTH, Rows(matrix), call()
        )


def test_without_keys_and_endpoint_a_repeated_batch_has_the_same_version(boosters: Any, tmp_path: Path) -> None:
    live, store = embedded(boosters, tmp_path)
    scorer = ExperimentScorer(EmbeddedScorer(store))  # type: ignore[arg-type]

    def version(batch: str = "", query: str = "") -> str:
        arms = scorer.score(live, Rows(np.zeros((3, 3), np.float32)), call(batch, query)).assignment
        assert arms is not None
        return arms.label()

    names = [f"01b0:{at}" for at in range(400)]
    seen = [version(batch=name) for name in names]
    assert seen == [version(batch=name) for name in names] == [version(query=name) for name in names]
    assert 15 < seen.count("v2") < 70
    assert {version() for _ in range(300)} == {"v1", "v2"}


# --- errors and special cases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["variant-1", "variant-2"])
@pytest.mark.parametrize("error", [TransientError("later", retry_after_s=60), PermanentError("never")])
def test_a_request_fails_if_one_version_fails(boosters: Any, matrix: Any, failing: str, error: Exception) -> None:
    endpoint = Variants(boosters)
    endpoint.failing[failing] = error
    with pytest.raises(type(error), match=str(error)):
        ExperimentScorer(EndpointScorer(endpoint), parallel=4).score(HALVES, Rows(matrix, list(range(1000))), call())


def test_versions_on_an_endpoint_are_called_concurrently(boosters: Any, matrix: Any) -> None:
    both = threading.Barrier(2, timeout=10)

    class Meeting(Variants):
        def invoke(self, invocation: Invocation, timeout_s: float) -> Invoked:
            both.wait()  # passes only if both calls are in progress
            return super().invoke(invocation, timeout_s)

    scored = ExperimentScorer(EndpointScorer(Meeting(boosters)), parallel=1).score(
        HALVES, Rows(matrix, [*range(1000)]), call()
    )
    assert len(scored.scores) == 1000


def test_a_call_without_an_experiment_is_passed_on_unchanged(boosters: Any, matrix: Any) -> None:
    endpoint = Variants(boosters)
    scored = ExperimentScorer(EndpointScorer(endpoint), parallel=4).score(
        HALVES.arms[1], Rows(matrix, [*range(1000)]), call()
    )
    assert (endpoint.asked, scored.assignment) == ([("variant-2", 1000)], None)


@pytest.mark.parametrize("keys", [None, []])
@pytest.mark.parametrize("scorer", ["endpoint", "embedded"])
def test_no_rows_give_no_scores(boosters: Any, keys: Any, scorer: Any, tmp_path: Path) -> None:
    live, store = embedded(boosters, tmp_path)
    live, nothing = replace(live, scorer=scorer), Rows(np.empty((0, 3), np.float32), keys)
    inner: Any = EndpointScorer(Variants(boosters)) if scorer == "endpoint" else EmbeddedScorer(store)  # type: ignore[arg-type]
    for each in (ExperimentScorer(inner), ChunkedScorer(ExperimentScorer(inner), DurationEstimates(), 10.0, Event())):
        scored = each.score(live, nothing, call())
        assert (len(scored.scores), scored.version("v1")) == (0, "v1")


# --- versions in the response -----------------------------------------------------------------------------------------------

SCORED = Scored(np.float32([0.25, 0.5, 0.75]), "variant-1", assignment=Assignment(TENTH.shares, np.array([0, 1, 0])))


def test_the_direct_form_returns_the_version_of_each_row() -> None:
    answer = orjson.loads(encode_reply(SCORED, Rows(np.zeros((3, 3), np.float32)), TENTH).body)
    assert answer == {
        "model": "churn",
        "version": "v1;rows=2, v2;rows=1",
        "versions": ["v1", "v2", "v1"],
        "predictions": [0.25, 0.5, 0.75],
    }


def test_each_object_contains_the_version_of_its_row() -> None:
    live = replace(TENTH, rules=replace(TENTH.rules, output="variant"))
    answer = orjson.loads(encode_reply(SCORED, Rows(np.zeros((3, 3), np.float32)), live).body)
    assert [each["version"] for each in answer["predictions"]] == ["v1", "v2", "v1"]


def test_a_call_records_the_versions_that_scored_it() -> None:
    made = call()
    made.record_scored(SCORED)
    assert (made.version, made.variant) == ("v1;rows=2, v2;rows=1", "variant-1, variant-2")
    assert made.by_version == [("v1", 2), ("v2", 1)]


def test_rows_without_the_optional_key_have_none() -> None:
    body = orjson.dumps({"data": [[0, 17, 1, 2, 3], [1, None, 1, 2, 3]]})
    keys = decode(body, TENTH, {}).keys
    assert keys is not None
    assert by_key(TENTH, keys).tolist() == by_key(TENTH, [17, None]).tolist()
