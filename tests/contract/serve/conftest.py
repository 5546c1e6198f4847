"""Fixtures: a service with a small model that the tests of this folder share, and a function to start others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from app.serve.codecs import warm
from sagemaker_entry.model import Model
from tests.contract.serve.blocking_endpoint import BATCH, BlockingEndpoint, metric, until
from tests.contract.serve.service import ModelEndpoint, Service, answering
from tests.unit.serve.fakes import CONTRACT, live_version


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[xgboost.Booster, Path]:
    """A booster for the fakes' contract, and its folder."""
    chance = np.random.default_rng(7)
    features = chance.normal(size=(400, 3)).astype(np.float32)
    features[chance.random(features.shape) < 0.1] = np.nan
    label = (np.nan_to_num(features).sum(axis=1) > 0).astype(np.float32)
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, xgboost.DMatrix(features, label), 10
    )
    folder = tmp_path_factory.mktemp("model")
    Model(booster, CONTRACT).save(folder)
    return booster, folder


@pytest.fixture(scope="session")
def churn(model: tuple[xgboost.Booster, Path]) -> Iterator[Service]:
    """The service with the models ``churn`` and ``keyed``, which takes a key."""
    warm()  # until the readers are compiled, the first request would exceed its client's timeout
    keyed = live_version("keyed", key="CUSTOMER_ID")
    with answering(Service(ModelEndpoint(model[1]), live_version(), keyed, max_body_bytes=500_000)) as service:
        while service.get("/v2/health/ready").status_code != 200:
            time.sleep(0.005)
        yield service


@pytest.fixture
def start() -> Iterator[Callable[[Service], Service]]:
    """Starts services that are stopped after the test."""
    with ExitStack() as stack:
        yield lambda service: stack.enter_context(answering(service))


@pytest.fixture
def full(start: Any) -> Any:
    """A service whose two slots and queue of two are taken, its endpoint, which blocks until it is released, and the responses."""
    endpoint = BlockingEndpoint("churn-endpoint")
    settings = {"scorer_threads": 2, "queue_requests": 2, "queue_wait_s": 20, "model_share": 1, "caller_share": 1}
    service = start(Service(endpoint, live_version(), **settings))
    with ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(service.post, "/predict/churn", json=BATCH) for _ in range(4)]
        until(lambda: metric(service, "queued_requests") == 2)
        yield service, endpoint, answers
        endpoint.release.set()
