"""Deferred batches: a batch that takes longer than one request is polled with GET, and every row gets its score."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from snowflake.connector.errors import DatabaseError

from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from app.deploy.live import live_uri
from app.errors import CallerError, TransientError
from app.serve.codecs import warm
from localcloud.aws.gateway.server import ApiGateway
from sagemaker_entry import npy
from tests.contract.serve.service import Service, answering
from tests.unit.serve.fakes import BUCKET, SECRET, FakeEndpoint, live_version

Sql = Callable[..., list[tuple[Any, ...]]]


class SlowEndpoint(FakeEndpoint):
    """Takes ``row_s`` for each row; fails after two seconds, as a real endpoint times out, or with ``error``."""

    def __init__(self) -> None:
        super().__init__(self._slowly)
        self.row_s, self.least_s, self.longest_s = 0.0, 0.0, 2.0
        self.error: Exception | None = None
        self.calls: list[int] = []

    def _slowly(self, endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        time.sleep(max(self.least_s, min(self.row_s * len(matrix), self.longest_s)))
        self.calls.append(len(matrix))
        if self.row_s * len(matrix) > self.longest_s:
            raise TransientError("the endpoint did not answer in time")
        if self.error:
            raise self.error
        return npy.encode(matrix.sum(axis=1))


@pytest.fixture(scope="module")
def store(s3: Any, s3_url: str) -> Iterator[S3Store]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (
            ("AWS_ENDPOINT_URL", s3_url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ):
            environment.setenv(name, value)
        yield S3Store(AwsSession())


@pytest.fixture
def endpoint() -> SlowEndpoint:
    return SlowEndpoint()


@pytest.fixture
def replica(store: S3Store, endpoint: SlowEndpoint) -> Iterator[Service]:
    """The service with its own access to S3."""
    warm()  # before the short budget starts
    store.write(live_uri(BUCKET, "churn"), live_version().to_json())
    with answering(Service(endpoint, store=store, budget_s=2.0, deferred_limit_s=60)) as service:
        yield service


@pytest.fixture
def function(sql: Sql, replica: Service) -> Iterator[str]:
    """``score``, an external function that reaches the service through the gateway."""
    gateway = ApiGateway(backend_url=str(replica.client.base_url), injected_headers={"x-snowsage-secret": SECRET})
    gateway.start()
    try:
        sql(
            "CREATE OR REPLACE API INTEGRATION gateway API_PROVIDER = aws_api_gateway API_AWS_ROLE_ARN = 'arn:r' "
            f"API_ALLOWED_PREFIXES = ('{gateway.url}') ENABLED = TRUE"
        )
        sql(
            "CREATE EXTERNAL FUNCTION score(spent FLOAT, orders FLOAT, visits FLOAT) RETURNS FLOAT "
            f"API_INTEGRATION = gateway AS '{gateway.url}predict/churn'"
        )
        yield "score"
    finally:
        gateway.stop()


def metric(service: Service, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"snowsage_serve_{name} ")).split()[1])


def test_every_row_gets_its_score(sql: Sql, function: str, replica: Service, endpoint: SlowEndpoint) -> None:
    sql("CREATE TABLE t AS SELECT SEQ8() AS i FROM TABLE(GENERATOR(ROWCOUNT => 10000))")
    endpoint.row_s = 0.0006  # 2.5 s for a full batch: longer than the limit of one call and of one request
    got = sql(f"SELECT i, {function}(i, 1, 2) FROM t")
    assert sorted(got) == [(number, number + 3.0) for number in range(10000)]
    assert metric(replica, "deferred_total") == metric(replica, "deferred_answered_total") >= 2
    assert max(endpoint.calls) == 4096 > sorted(endpoint.calls)[len(endpoint.calls) // 2]


DYING = """
import signal, sys, time
from app.cloud.aws.s3 import S3Store
from app.cloud.aws.session import AwsSession
from tests.contract.serve.service import Service, answering
import numpy as np
from app.serve.codecs import warm
from tests.unit.serve.fakes import FakeEndpoint

def answer(endpoint, matrix, fingerprint):
    time.sleep(2 if len(matrix) == 3 else 600)
    return npy.encode(np.zeros(len(matrix), np.float32))

warm()
with answering(Service(FakeEndpoint(answer), store=S3Store(AwsSession()), budget_s=5, deferred_lease_s=2)) as service:
    print(service.client.base_url, flush=True)
    signal.pause()
"""


@pytest.mark.slow
def test_a_killed_replica_is_replaced(store: S3Store, replica: Service, endpoint: SlowEndpoint) -> None:
    headers = {"sf-external-function-query-batch-id": "of-the-killed", "x-snowsage-secret": SECRET}
    with subprocess.Popen([sys.executable, "-c", DYING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"{process.stdout.readline().strip()}/predict/churn"
        body = {"data": [[number, number, 1, 2] for number in range(9)]}
        quick = {"data": body["data"][:3]}
        try:
            # Three rows take two seconds, so nine are expected to take longer than the budget of five: deferred at once.
            httpx.post(url, json=quick, headers={"x-snowsage-secret": SECRET}, timeout=60, trust_env=False)
            accepted = httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)
        finally:
            process.kill()
    assert accepted.status_code == 202
    deadline = time.monotonic() + 60
    while (answer := replica.get("/predict/churn", headers=headers)).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.json() == {"data": [[number, number + 3.0] for number in range(9)]}
    assert endpoint.calls == [9]
    assert metric(replica, "deferred_taken_over_total") == 1


def test_a_deferred_batch_that_fails_fails_the_query(sql: Sql, function: str, endpoint: SlowEndpoint) -> None:
    endpoint.error = CallerError("refused for good")
    endpoint.least_s = 1.95
    with pytest.raises(DatabaseError, match=r"400 .*refused for good"):
        sql(f"SELECT {function}(1, 1, 2)")
