"""What the gate and the endpoints' attempts count, read at the time of a scrape; so counting costs a request next to nothing.

Labels are models and endpoints that are, or were, live, and reasons; callers are no labels, for there may be any number.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.serve.admission.queue import Gate
from app.serve.scoring.retry_policy import Attempts


class AdmissionMetrics(Collector):
    """The gate's numbers."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterable[Metric]:
        running = _gauge("admitted_requests", "Requests that hold a thread.", "model")
        waiting = _gauge("queued_requests", "Requests that wait for a thread.", "model")
        limit = _gauge("concurrency_limit_requests", "Requests that may hold a thread, by their latency.", "model")
        for model, lane in list(self._gate.lanes.items()):
            running.add_metric([model], lane.running)
            waiting.add_metric([model], lane.waiting)
            limit.add_metric([model], lane.limit.value)
        shed = _counter("shed_requests", "Requests refused with 429 before their body was read.", "model", "reason")
        for labels, count in list(self._gate.shed.items()):
            shed.add_metric(labels, count)
        return (running, waiting, limit, shed)


class EndpointMetrics(Collector):
    """The endpoints' numbers."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def collect(self) -> Iterable[Metric]:
        attempts = _counter("endpoint_attempts", "Attempts at an endpoint, by how they ended.", "endpoint", "outcome")
        retries = _counter("endpoint_retries", "Failed attempts, by whether another was made.", "endpoint", "outcome")
        state = _gauge("breaker_state", "0 closed, 1 half open, 2 open.", "endpoint")
        opened = _counter("breaker_opened", "Times that an endpoint's breaker opened.", "endpoint")
        refused = _counter("breaker_refused_requests", "Requests that an open breaker answered.", "endpoint")
        for endpoint, peer in list(self._attempts.peers.items()):
            for outcome, count in list(peer.attempts.items()):
                attempts.add_metric([endpoint, outcome], count)
            for outcome, count in list(peer.retries.items()):
                retries.add_metric([endpoint, outcome], count)
            state.add_metric([endpoint], peer.breaker.state)
            opened.add_metric([endpoint], peer.breaker.opened)
            refused.add_metric([endpoint], peer.breaker.refused)
        return (attempts, retries, state, opened, refused)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"snowsage_serve_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"snowsage_serve_{name}", text, labels=labels)
