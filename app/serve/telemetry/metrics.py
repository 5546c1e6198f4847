"""What the service counts, for Prometheus, in a registry of its own, so that several applications fit in one process.

Looking up a metric by its labels costs more than counting, so each combination is looked up once and kept.

The one surprise: a model's name becomes a label only while a version of it is live. Callers choose the names in requests,
and each new label value would stay in memory for good. Callers' names come from the settings and are few.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.deploy.live import LiveVersion
from app.serve.request import Call
from app.serve.telemetry.meters import Meters


class Metrics:
    """The service's counters. ``live``: gives the versions that answer at the time of a scrape."""

    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(_ModelInfo(live))
        registry.register(_BuildInfo())
        self._requests = Counter(
            "snowsage_serve_requests",
            "Requests answered; model is empty where none of that name is live.",
            ["model", "route", "code"],
            registry=registry,
        )
        self._caller_requests = Counter(
            "snowsage_serve_caller_requests",
            "Requests answered, by who sent them; caller is empty for those who were not let in.",
            ["caller", "code"],
            registry=registry,
        )
        self._caller_rows = Counter(
            "snowsage_serve_caller_rows", "Rows scored, by who sent them.", ["caller"], registry=registry
        )
        self._meters = Meters()
        registry.register(self._meters)
        self._captured = Counter("snowsage_serve_capture_rows", "Captured rows written to S3.", registry=registry)
        self._lost = Counter(
            "snowsage_serve_capture_lost_rows",
            "Sampled rows that were not written: no room, a failed write, the end of the process.",
            ["reason"],
            registry=registry,
        )
        #: Requests under way.
        self.in_flight = 0
        in_flight = Gauge("snowsage_serve_in_flight_requests", "Requests under way.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self._of_request: dict[tuple[str, str, int, str], tuple[Counter, Counter]] = {}
        self._of_caller: dict[str, Counter] = {}

    def watch(self, collector: Collector) -> None:
        """Have each scrape ask ``collector`` too."""
        self._registry.register(collector)

    def count_request(self, model: str, route: str, code: int, caller: str = "") -> None:
        """One request was answered with the status ``code``. All but ``code`` must be names that are few."""
        key = (model, route, code, caller)
        if (found := self._of_request.get(key)) is None:
            by_caller = self._caller_requests.labels(caller, str(code))
            found = self._of_request[key] = (self._requests.labels(model, route, str(code)), by_caller)
        found[0].inc()
        found[1].inc()

    def count_scored(self, call: Call, reply_bytes: int) -> None:
        """A request that was answered with scores: its rows, phases and bytes, as they came and as they leave."""
        self._meters.count(call, reply_bytes)
        if (rows := self._of_caller.get(call.caller)) is None:
            rows = self._of_caller[call.caller] = self._caller_rows.labels(call.caller)
        rows.inc(call.rows)

    def count_captured(self, rows: int) -> None:
        """Captured rows were written."""
        self._captured.inc(rows)

    def count_lost(self, reason: str, rows: int) -> None:
        """Sampled rows will not be written."""
        self._lost.labels(reason).inc(rows)

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _ModelInfo(Collector):
    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._live = live

    def collect(self) -> Iterable[Metric]:
        labels = ["name", "version", "digest"]
        info = GaugeMetricFamily("snowsage_serve_model_info", "1 for each live version.", labels=labels)
        for live in (arm for record in self._live() for arm in record.arms):
            info.add_metric([live.model, live.version, live.artifact_sha256], 1)
        yield info


class _BuildInfo(Collector):
    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily("snowsage_serve_build_info", "1, for what runs.", labels=["version", "python"])
        info.add_metric([build_version(), platform.python_version()], 1)
        yield info


def build_version() -> str:
    """The program's version; ``unknown`` in a checkout that was never installed."""
    try:
        return importlib.metadata.version("snowsage")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
