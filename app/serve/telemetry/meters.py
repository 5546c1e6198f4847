"""What the scored requests of each model amount to: plain numbers, added up on the event loop, made metrics when a scrape asks.

A dozen numbers change with every request; as Prometheus's own counters they took eighteen locks for a single row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.serve.request import Call

_SECOND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_ROW_BUCKETS = tuple(2**power for power in range(14))  # 1 to 8,192; Snowflake's batches end near 4,096
#: Versions of a model that have a counter at a time; the one that came first goes first.
_VERSIONS_KEPT = 32


class Tally:
    """A histogram. ``bounds``: ascending; a value belongs to the first that it does not exceed."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many values do not exceed it), as Prometheus has them."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


class _Meter:
    """One model's."""

    __slots__ = ("batches", "by_version", "compiled", "general", "phases", "reply_bytes", "request_bytes", "rows")

    def __init__(self) -> None:
        self.rows = self.request_bytes = self.reply_bytes = self.compiled = self.general = 0
        self.by_version: dict[str, int] = {}
        self.batches = Tally(_ROW_BUCKETS)
        self.phases: dict[str, Tally] = {}

    def count(self, call: Call, reply_bytes: int) -> None:
        self.rows += call.rows
        self.request_bytes += len(call.raw)
        self.reply_bytes += reply_bytes
        if call.compiled:
            self.compiled += 1
        else:
            self.general += 1
        self.batches.observe(call.rows)
        for phase, seconds in call.seconds.items():
            if (tally := self.phases.get(phase)) is None:
                tally = self.phases[phase] = Tally(_SECOND_BUCKETS)
            tally.observe(seconds)
        for version, rows in call.by_version or ((call.version, call.rows),):
            self.by_version[version] = self.by_version.get(version, 0) + rows
            if len(self.by_version) > _VERSIONS_KEPT:
                del self.by_version[next(iter(self.by_version))]


class Meters(Collector):
    """All models'. For the event loop, where scrapes are answered too."""

    def __init__(self) -> None:
        self._of_model: dict[str, _Meter] = {}

    def count(self, call: Call, reply_bytes: int) -> None:
        """A request that was answered with scores. Its model is one that is live, for each has its metrics from then on."""
        if (meter := self._of_model.get(call.model)) is None:
            meter = self._of_model[call.model] = _Meter()
        meter.count(call, reply_bytes)

    def collect(self) -> Iterable[Metric]:
        rows = _counter("rows", "Rows scored.")
        by_version = _counter("version_rows", "Rows scored, by the version that scored them.", "version")
        requests = _counter("request_body_bytes", "Bytes of scored requests' bodies, as they came.")
        replies = _counter("response_body_bytes", "Bytes of the replies' bodies.")
        decodes = _counter(
            "decodes",
            "Bodies decoded; compiled: without an object a value, as plain bodies and raw tensors are; general: the rest.",
            "decoder",
        )
        batches = _histogram("batch_rows", "Rows of one request that was answered.")
        phases = _histogram(
            "phase_duration_seconds", "Time of one request's phase: queue, decode, score, encode.", "phase"
        )
        for model, meter in self._of_model.items():
            rows.add_metric([model], meter.rows)
            requests.add_metric([model], meter.request_bytes)
            replies.add_metric([model], meter.reply_bytes)
            decodes.add_metric([model, "general"], meter.general)
            decodes.add_metric([model, "compiled"], meter.compiled)
            batches.add_metric([model], meter.batches.buckets(), meter.batches.sum)
            for phase, tally in meter.phases.items():
                phases.add_metric([model, phase], tally.buckets(), tally.sum)
            for version, count in meter.by_version.items():
                by_version.add_metric([model, version], count)
        return (rows, by_version, requests, replies, decodes, batches, phases)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"snowsage_serve_{name}", text, labels=["model", *labels])


def _histogram(name: str, text: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"snowsage_serve_{name}", text, labels=["model", *labels])
