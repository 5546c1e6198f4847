"""What the service counts, for Prometheus, in a registry of its own, so that several applications fit in one process.

The one surprise: a model's name becomes a label only while a version of it is live. Callers choose the names in requests,
and each new label value would stay in memory for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.deploy.live import LiveVersion
from app.serve.call import Call

_SECOND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_ROW_BUCKETS = tuple(2**power for power in range(14))  # 1 to 8,192; Snowflake's batches end near 4,096


class Metrics:
    """The service's counters. ``live``: gives the versions that answer at the time of a scrape."""

    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(_ModelInfo(live))
        self._requests = Counter(
            "snowsage_serve_requests",
            "Requests answered; model is empty where none of that name is live.",
            ["model", "route", "code"],
            registry=registry,
        )
        self._rows = Counter("snowsage_serve_rows", "Rows scored.", ["model"], registry=registry)
        self._phases = Histogram(
            "snowsage_serve_phase_duration_seconds",
            "Time of one request's phase: queue, decode, score, encode.",
            ["model", "phase"],
            buckets=_SECOND_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "snowsage_serve_batch_rows",
            "Rows of one request that was answered.",
            ["model"],
            buckets=_ROW_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("snowsage_serve_in_flight_requests", "Requests under way.", registry=registry)

    def watch(self, collector: Collector) -> None:
        """Have each scrape ask ``collector`` too."""
        self._registry.register(collector)

    def count_request(self, model: str, route: str, code: int) -> None:
        """One request was answered with the status ``code``."""
        self._requests.labels(model, route, str(code)).inc()

    def count_scored(self, call: Call) -> None:
        """The rows and the phases of a request that was answered with scores."""
        self._rows.labels(call.model).inc(call.rows)
        self._batches.labels(call.model).observe(call.rows)
        for phase, seconds in call.seconds.items():
            self._phases.labels(call.model, phase).observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _ModelInfo(Collector):
    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._live = live

    def collect(self) -> Iterable[Metric]:
        labels = ["name", "version", "digest"]
        info = GaugeMetricFamily("snowsage_serve_model_info", "1 for each live version.", labels=labels)
        for live in self._live():
            info.add_metric([live.model, live.version, live.artifact_sha256], 1)
        yield info
