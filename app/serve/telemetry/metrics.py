"""The Prometheus metrics of the service, in a registry of its own, so that several applications fit in one process.

Numbers that change with every request are plain attributes, added up on the event loop and turned into metrics at a scrape: as
Prometheus's own counters they took eighteen locks for a single row. A counter by its labels is looked up once and kept, because
the lookup costs more than counting.

A model's name becomes a label only while a version of it is live: callers choose the names in requests, and each new label value
would stay in memory. Callers' names come from the settings, so there are few; Snowflake's users are not labels.
"""

from __future__ import annotations

import importlib.metadata
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.deploy.live import LiveVersion
from app.serve.admission.queue import AdmissionQueue
from app.serve.idempotency.deferral import Deferral
from app.serve.idempotency.jobs import Jobs
from app.serve.idempotency.response_cache import ResponseCache
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.scoring.retry_policy import RetryPolicy

_SECOND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_ROW_BUCKETS = tuple(2**power for power in range(14))  # 1 to 8,192; Snowflake's batches end near 4,096
#: Versions of a model that have a counter at a time; the oldest is dropped.
_VERSIONS_KEPT = 32


class Metrics:
    """The service's counters. ``live``: returns the versions that answer at the time of a scrape."""

    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(_ModelInfo(live))
        registry.register(_BuildInfo())
        self._requests = Counter(
            "snowsage_serve_requests",
            "Requests answered; model is empty if no model of that name is live.",
            ["model", "route", "code"],
            registry=registry,
        )
        self._caller_requests = Counter(
            "snowsage_serve_caller_requests",
            "Requests answered, by caller; caller is empty if the request had no valid credential.",
            ["caller", "code"],
            registry=registry,
        )
        self._caller_rows = Counter(
            "snowsage_serve_caller_rows", "Rows scored, by caller.", ["caller"], registry=registry
        )
        self._scoring = ScoringMetrics()
        registry.register(self._scoring)
        self._captured = Counter("snowsage_serve_capture_rows", "Captured rows written to S3.", registry=registry)
        self._lost = Counter(
            "snowsage_serve_capture_lost_rows",
            "Sampled rows that were not written: no room, a failed write, the end of the process.",
            ["reason"],
            registry=registry,
        )
        #: Requests that are running.
        self.in_flight = 0
        in_flight = Gauge("snowsage_serve_in_flight_requests", "Requests that are running.", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self._of_request: dict[tuple[str, str, int, str], tuple[Counter, Counter]] = {}
        self._of_caller: dict[str, Counter] = {}

    def watch(self, collector: Collector) -> None:
        """Include ``collector`` in each scrape."""
        self._registry.register(collector)

    def count_request(self, model: str, route: str, code: int, caller: str = "") -> None:
        """Count a request that was answered with status ``code``. The other labels must have few values."""
        key = (model, route, code, caller)
        if (found := self._of_request.get(key)) is None:
            by_caller = self._caller_requests.labels(caller, str(code))
            found = self._of_request[key] = (self._requests.labels(model, route, str(code)), by_caller)
        found[0].inc()
        found[1].inc()

    def count_scored(self, request: PredictionRequest, reply_bytes: int) -> None:
        """Count a request that was answered with scores: its rows, phases and bytes, as received and as sent."""
        self._scoring.count(request, reply_bytes)
        if (rows := self._of_caller.get(request.caller)) is None:
            rows = self._of_caller[request.caller] = self._caller_rows.labels(request.caller)
        rows.inc(request.rows)

    def count_captured(self, rows: int) -> None:
        """Count captured rows that were written."""
        self._captured.inc(rows)

    def count_lost(self, reason: str, rows: int) -> None:
        """Count sampled rows that will not be written."""
        self._lost.labels(reason).inc(rows)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class Histogram:
    """A histogram in plain numbers. ``bounds``: ascending; a value belongs to the first bound that it does not exceed."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Add a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, number of values that do not exceed it), as Prometheus has them."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


class _ModelCounts:
    """The numbers of one model."""

    __slots__ = ("batches", "by_version", "compiled", "general", "phases", "reply_bytes", "request_bytes", "rows")

    def __init__(self) -> None:
        self.rows = self.request_bytes = self.reply_bytes = self.compiled = self.general = 0
        self.by_version: dict[str, int] = {}
        self.batches = Histogram(_ROW_BUCKETS)
        self.phases: dict[str, Histogram] = {}

    def count(self, request: PredictionRequest, reply_bytes: int) -> None:
        self.rows += request.rows
        self.request_bytes += len(request.raw)
        self.reply_bytes += reply_bytes
        if request.compiled:
            self.compiled += 1
        else:
            self.general += 1
        self.batches.observe(request.rows)
        for phase, seconds in request.seconds.items():
            if (histogram := self.phases.get(phase)) is None:
                histogram = self.phases[phase] = Histogram(_SECOND_BUCKETS)
            histogram.observe(seconds)
        for version, rows in request.by_version or ((request.version, request.rows),):
            self.by_version[version] = self.by_version.get(version, 0) + rows
            if len(self.by_version) > _VERSIONS_KEPT:
                del self.by_version[next(iter(self.by_version))]


class ScoringMetrics(Collector):
    """Scored requests by model. Not thread-safe: for the event loop, which answers scrapes too."""

    def __init__(self) -> None:
        self._of_model: dict[str, _ModelCounts] = {}

    def count(self, request: PredictionRequest, reply_bytes: int) -> None:
        """Count a request that was answered with scores. Its model is live and keeps its metrics from then on."""
        if (counts := self._of_model.get(request.model)) is None:
            counts = self._of_model[request.model] = _ModelCounts()
        counts.count(request, reply_bytes)

    def collect(self) -> Iterable[Metric]:
        rows = _counter("rows", "Rows scored.", "model")
        by_version = _counter("version_rows", "Rows scored, by the version that scored them.", "model", "version")
        requests = _counter("request_body_bytes", "Bytes of scored requests' bodies, as received.", "model")
        replies = _counter("response_body_bytes", "Bytes of the replies' bodies.", "model")
        decodes = _counter(
            "decodes",
            "Bodies decoded; compiled: plain bodies and raw tensors, without an object for each value; general: the rest.",
            "model",
            "decoder",
        )
        batches = _histogram("batch_rows", "Rows of an answered request.", "model")
        phases = _histogram(
            "phase_duration_seconds", "Duration of a request's phase: queue, decode, score, encode.", "model", "phase"
        )
        for model, counts in self._of_model.items():
            rows.add_metric([model], counts.rows)
            requests.add_metric([model], counts.request_bytes)
            replies.add_metric([model], counts.reply_bytes)
            decodes.add_metric([model, "general"], counts.general)
            decodes.add_metric([model, "compiled"], counts.compiled)
            batches.add_metric([model], counts.batches.buckets(), counts.batches.sum)
            for phase, histogram in counts.phases.items():
                phases.add_metric([model, phase], histogram.buckets(), histogram.sum)
            for version, count in counts.by_version.items():
                by_version.add_metric([model, version], count)
        return (rows, by_version, requests, replies, decodes, batches, phases)


class ModelMetrics(Collector):
    """The models that cannot be loaded. Their names are those of records on S3."""

    def __init__(self, models: LiveModels) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        faulty = _gauge("model_faulty", "1 for each model whose newest record cannot be loaded.", "model")
        for model in self._models.faults:
            faulty.add_metric([model], 1)
        failures = _counter("model_load_failures", "Failed attempts to load a model.", "model")
        for model, count in list(self._models.load_failures.items()):
            failures.add_metric([model], count)
        return (faulty, failures)


class EmbeddedMetrics(Collector):
    """What evaluates the models in this process. ``predictors``: by the digest of the artefact."""

    def __init__(self, predictors: Mapping[str, str]) -> None:
        self._predictors = predictors

    def collect(self) -> Iterable[Metric]:
        info = _gauge("predictor_info", "1 for each model in memory: compiled, or xgboost.", "digest", "predictor")
        for digest, name in list(self._predictors.items()):
            info.add_metric([digest, name], 1)
        yield info


class AdmissionMetrics(Collector):
    """The numbers of the admission queue."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        running = _gauge("admitted_requests", "Requests that hold a thread.", "model")
        waiting = _gauge("queued_requests", "Requests that wait for a thread.", "model")
        limit = _gauge("concurrency_limit_requests", "Requests that may hold a thread, by their latency.", "model")
        for model, load in list(self._queue.models.items()):
            running.add_metric([model], load.running)
            waiting.add_metric([model], load.waiting)
            limit.add_metric([model], load.limit.value)
        shed = _counter("shed_requests", "Requests rejected with 429 before their body was read.", "model", "reason")
        for labels, count in list(self._queue.shed.items()):
            shed.add_metric(labels, count)
        return (running, waiting, limit, shed)


class EndpointMetrics(Collector):
    """The numbers of the endpoints' retries and circuit breakers."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def collect(self) -> Iterable[Metric]:
        attempts = _counter("endpoint_attempts", "Attempts at an endpoint, by outcome.", "endpoint", "outcome")
        retries = _counter("endpoint_retries", "Failed attempts, by whether another was made.", "endpoint", "outcome")
        state = _gauge("breaker_state", "0 closed, 1 half open, 2 open.", "endpoint")
        opened = _counter("breaker_opened", "Times that an endpoint's breaker opened.", "endpoint")
        refused = _counter("breaker_refused_requests", "Requests that an open breaker answered.", "endpoint")
        for name, endpoint in list(self._policy.endpoints.items()):
            for outcome, count in list(endpoint.attempts.items()):
                attempts.add_metric([name, outcome], count)
            for outcome, count in list(endpoint.retries.items()):
                retries.add_metric([name, outcome], count)
            state.add_metric([name], endpoint.breaker.state)
            opened.add_metric([name], endpoint.breaker.opened)
            refused.add_metric([name], endpoint.breaker.refused)
        return (attempts, retries, state, opened, refused)


class IdempotencyMetrics(Collector):
    """The numbers of the response cache and of deferred batches."""

    def __init__(self, responses: ResponseCache, deferral: Deferral, jobs: Jobs) -> None:
        self._responses, self._deferral, self._jobs = responses, deferral, jobs

    def collect(self) -> Iterable[Metric]:
        responses, deferral, jobs = self._responses, self._deferral, self._jobs
        for name, text, value in (
            ("replays", "Batches sent again and answered from memory.", responses.replayed),
            ("replays_joined", "Batches sent again that waited for the running scoring.", responses.joined),
            ("replay_conflicts", "Batches with the id of another body.", responses.conflicts),
            ("replay_evictions", "Responses dropped before their time, for space.", responses.evicted),
            ("deferred", "Batches answered 202.", deferral.accepted),
            ("deferred_taken_over", "Deferred batches taken over from another replica.", deferral.taken_over),
            ("deferred_answered", "Deferred batches that ended with scores.", jobs.answered),
            ("deferred_failed", "Deferred batches that ended with a failure.", jobs.failed),
        ):
            yield CounterMetricFamily(f"snowsage_serve_{name}", text, value=value)
        yield GaugeMetricFamily("snowsage_serve_replay_bytes", "Memory of kept responses.", value=responses.size_bytes)
        yield GaugeMetricFamily("snowsage_serve_deferred_held", "Deferred batches running or waiting.", value=len(jobs))


class _ModelInfo(Collector):
    def __init__(self, live: Callable[[], Iterable[LiveVersion]]) -> None:
        self._live = live

    def collect(self) -> Iterable[Metric]:
        info = _gauge("model_info", "1 for each live version.", "name", "version", "digest")
        for live in (arm for record in self._live() for arm in record.arms):
            info.add_metric([live.model, live.version, live.artifact_sha256], 1)
        yield info


class _BuildInfo(Collector):
    def collect(self) -> Iterable[Metric]:
        info = _gauge("build_info", "1, for the running program.", "version", "python")
        info.add_metric([build_version(), platform.python_version()], 1)
        yield info


def build_version() -> str:
    """The program's version; ``unknown`` in a checkout that was never installed."""
    try:
        return importlib.metadata.version("snowsage")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"snowsage_serve_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"snowsage_serve_{name}", text, labels=labels)


def _histogram(name: str, text: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"snowsage_serve_{name}", text, labels=labels)
