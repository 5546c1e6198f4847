"""Metrics of scored requests, equal to those of the Prometheus client."""

from __future__ import annotations

import numpy as np
import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

from app.serve.deadline import Deadline
from app.serve.request import PredictionRequest
from app.serve.telemetry.metrics import Histogram, Metrics

BOUNDS = (0.25, 0.5, 1, 2.5)


def test_a_histogram_equals_the_prometheus_clients() -> None:
    values = [0.25, 0.5, 0.500001, 1, 2.5, 3, -1, *np.random.default_rng(3).exponential(1.0, 500).tolist()]
    registry = prometheus_client.CollectorRegistry()
    theirs = prometheus_client.Histogram("h", "h", registry=registry, buckets=BOUNDS)
    ours = Histogram(BOUNDS)
    for value in values:
        theirs.observe(value)
        ours.observe(value)
    samples = theirs.collect()[0].samples
    assert dict(ours.buckets()) == {sample.labels["le"]: sample.value for sample in samples if "le" in sample.labels}
    assert ours.sum == next(sample.value for sample in samples if sample.name == "h_sum")


def scored(version: str, rows: int, compiled: bool = True) -> PredictionRequest:
    call = PredictionRequest("churn", {}, Deadline.after(1.0), raw=b"x" * 10, caller="ann", version=version, rows=rows)
    call.compiled, call.seconds = compiled, {"score": 0.002}
    return call


def told(metrics: Metrics) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_scored_requests_are_counted_by_model_version_and_phase() -> None:
    metrics = Metrics(lambda: [])
    metrics.count_scored(scored("1.0", 3), 20)
    metrics.count_scored(scored("1.1", 5, compiled=False), 30)
    found = told(metrics)
    assert found["snowsage_serve_rows_total", "model=churn"] == 8
    assert found["snowsage_serve_version_rows_total", "model=churn,version=1.1"] == 5
    assert found["snowsage_serve_request_body_bytes_total", "model=churn"] == 20
    assert found["snowsage_serve_response_body_bytes_total", "model=churn"] == 50
    assert found["snowsage_serve_decodes_total", "decoder=general,model=churn"] == 1
    assert found["snowsage_serve_batch_rows_bucket", "le=4.0,model=churn"] == 1
    assert found["snowsage_serve_batch_rows_sum", "model=churn"] == 8
    assert found["snowsage_serve_phase_duration_seconds_count", "model=churn,phase=score"] == 2
    assert found["snowsage_serve_caller_rows_total", "caller=ann"] == 8


def test_metrics_of_old_versions_are_dropped() -> None:
    metrics = Metrics(lambda: [])
    for number in range(100):
        metrics.count_scored(scored(f"1.{number}", 1), 1)
    kept = [labels for name, labels in told(metrics) if name == "snowsage_serve_version_rows_total"]
    assert len(kept) == 32
    assert "model=churn,version=1.99" in kept
