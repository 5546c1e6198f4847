"""What the service counts, for Prometheus, in a registry of its own, so that several applications fit in one process.

Looking up a metric by its labels costs more than counting, so each combination is looked up once and kept.

The one surprise: a model's name becomes a label only while a version of it is live. Callers choose the names in requests,
and each new label value would stay in memory for good. Callers' names come from the settings and are few.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.deploy.live import LiveVersion
from app.serve.call import Call

_SECOND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
#: Versions of a model that have a counter at a time; the one that came first goes first.
_VERSIONS_KEPT = 32
_ROW_BUCKETS = tuple(2**power for power in range(14))  # 1 to 8,192; Snowflake's batches end near 4,096


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
        self._models = _ModelMetrics(registry)
        self._captured = Counter("snowsage_serve_capture_rows", "Captured rows written to S3.", registry=registry)
        self._lost = Counter(
            "snowsage_serve_capture_lost_rows",
            "Sampled rows that were not written: no room, a failed write, the end of the process.",
            ["reason"],
            registry=registry,
        )
        self.in_flight = Gauge("snowsage_serve_in_flight_requests", "Requests under way.", registry=registry)
        self._of_request: dict[tuple[str, str, int, str], tuple[Counter, Counter]] = {}
        self._of_caller: dict[str, Counter] = {}
        self._of_model: dict[str, _Meters] = {}

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
        if (meters := self._of_model.get(call.model)) is None:
            meters = self._of_model[call.model] = _Meters(self._models, call.model)
        meters.count(call, reply_bytes)
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


class _ModelMetrics:
    """The metrics that have a model's label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"snowsage_serve_{name}", text, ["model", *labels], registry=registry)

        self.rows = counter("rows", "Rows scored.")
        self.version_rows = counter("version_rows", "Rows scored, by the version that scored them.", "version")
        self.request_bytes = counter("request_body_bytes", "Bytes of scored requests' bodies, as they came.")
        self.reply_bytes = counter("response_body_bytes", "Bytes of the replies' bodies.")
        self.decodes = counter(
            "decodes",
            "Bodies decoded; compiled: without an object a value, as plain bodies and raw tensors are; general: the rest.",
            "decoder",
        )
        self.batches = Histogram(
            "snowsage_serve_batch_rows",
            "Rows of one request that was answered.",
            ["model"],
            buckets=_ROW_BUCKETS,
            registry=registry,
        )
        self.phases = Histogram(
            "snowsage_serve_phase_duration_seconds",
            "Time of one request's phase: queue, decode, score, encode.",
            ["model", "phase"],
            buckets=_SECOND_BUCKETS,
            registry=registry,
        )


class _Meters:
    """One model's, looked up once."""

    def __init__(self, all_models: _ModelMetrics, model: str) -> None:
        self._rows = all_models.rows.labels(model)
        self._all_version_rows = all_models.version_rows
        self._version_rows: dict[str, Counter] = {}
        self._request_bytes, self._reply_bytes = (
            all_models.request_bytes.labels(model),
            all_models.reply_bytes.labels(model),
        )
        self._general, self._compiled = (all_models.decodes.labels(model, name) for name in ("general", "compiled"))
        self._batches = all_models.batches.labels(model)
        self._all_phases, self._model = all_models.phases, model
        self._phases: dict[str, Histogram] = {}

    def count(self, call: Call, reply_bytes: int) -> None:
        self._rows.inc(call.rows)
        if call.by_version:
            for version, rows in call.by_version:
                self._rows_of(version).inc(rows)
        else:
            self._rows_of(call.version).inc(call.rows)
        self._request_bytes.inc(len(call.raw))
        self._reply_bytes.inc(reply_bytes)
        (self._compiled if call.compiled else self._general).inc()
        self._batches.observe(call.rows)
        for phase, seconds in call.seconds.items():
            if (histogram := self._phases.get(phase)) is None:
                histogram = self._phases[phase] = self._all_phases.labels(self._model, phase)
            histogram.observe(seconds)

    def _rows_of(self, version: str) -> Counter:
        if (found := self._version_rows.get(version)) is None:
            found = self._version_rows[version] = self._all_version_rows.labels(self._model, version)
            if len(self._version_rows) > _VERSIONS_KEPT:
                oldest = next(iter(self._version_rows))
                del self._version_rows[oldest]
                self._all_version_rows.remove(self._model, oldest)
        return found


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
