"""Traces: the spans of a call, their parent trace, and propagation to the endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.cloud.aws.endpoint import SageMakerEndpoint
from app.cloud.aws.session import AwsSession
from app.errors import CallerError
from app.ports import Invocation
from app.serve.telemetry.tracing import exporter_from
from sagemaker_entry import npy
from tests.contract.serve.service import Service, answering
from tests.unit.serve.fakes import SECRET, FakeEndpoint, live_version

BATCH = {"data": [[0, 7777, 2, 3], [1, 4, 5, None]]}
IDS = {"sf-external-function-current-query-id": "01b0-query", "sf-external-function-query-batch-id": "01b0:1:0"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def traced(run: Callable[[Service], Any], endpoint: FakeEndpoint | None = None, **settings: Any) -> list[ReadableSpan]:
    """The spans of a service that is stopped after ``run``."""
    exporter = InMemorySpanExporter()
    with answering(Service(endpoint or FakeEndpoint(), live_version(), exporter=exporter, **settings)) as service:
        run(service)
    return list(exporter.get_finished_spans())


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    assert len({span.name for span in spans}) == len(spans)
    return {span.name: span for span in spans}


def test_a_batch_is_a_span_with_its_phases_as_children() -> None:
    spans = by_name(traced(lambda service: service.post("/predict/churn", json=BATCH, headers=IDS)))
    root = spans["predict"]
    assert dict(root.attributes or {}) == {
        "ml.model.name": "churn",
        "ml.model.version": "v1",
        "ml.batch.rows": 2,
        "snowflake.query_id": "01b0-query",
        "snowflake.batch_id": "01b0:1:0",
        "snowsage.caller": "gateway",
    }
    assert root.kind is trace.SpanKind.SERVER
    assert root.parent is None
    assert root.resource.attributes["service.name"] == "snowsage"
    for phase in ("decode", "score", "encode"):
        assert spans[phase].parent == root.context
        assert root.start_time <= spans[phase].start_time <= spans[phase].end_time <= root.end_time  # type: ignore[operator]
    assert set(spans) == {"predict", "decode", "score", "encode"}


def test_the_callers_trace_and_sampling_decision_are_continued() -> None:
    def run(service: Service) -> None:
        for flags in ("01", "00"):
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
            assert service.post("/predict/churn", json=BATCH, headers=headers).status_code == 200

    for share in (0.0, 1.0):
        spans = by_name(traced(run, trace_share=share))
        assert {trace.format_trace_id(span.context.trace_id) for span in spans.values()} == {TRACE}
        assert spans["predict"].parent is not None
        assert trace.format_span_id(spans["predict"].parent.span_id) == PARENT


def test_a_share_of_zero_traces_nothing() -> None:
    assert traced(lambda service: service.post("/predict/churn", json=BATCH), trace_share=0.0) == []


def test_the_endpoints_call_happens_inside_the_score() -> None:
    seen: list[int] = []

    def answer(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return npy.encode(np.zeros(len(matrix), np.float32))

    spans = by_name(traced(lambda service: service.post("/predict/churn", json=BATCH), FakeEndpoint(answer)))
    assert seen == [spans["score"].context.span_id]


def test_a_failure_is_recorded_only_by_its_type() -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("value 7777")

    spans = traced(lambda service: service.post("/predict/churn", json=BATCH), FakeEndpoint(fail))
    root = by_name(spans)["predict"]
    assert root.status.status_code is trace.StatusCode.ERROR
    assert (root.attributes or {})["error.type"] == "RuntimeError"
    written = "".join(span.to_json() for span in spans)
    assert "7777" not in written
    assert SECRET not in written


class Collector:
    """An HTTP server that records the paths, headers and bodies of POST requests."""

    def __init__(self, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        posts, more = self.posts, headers or {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                names = {name.lower(): value for name, value in self.headers.items()}
                posts.append((self.path, names, self.rfile.read(int(names["content-length"]))))
                self.send_response(200)
                for name, value in {**more, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    found = Collector(npy.encode(np.zeros(1, np.float32)))
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def test_spans_are_exported_by_otlp_when_the_service_ends(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    exporter = exporter_from({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    with answering(Service(FakeEndpoint(), live_version(), exporter=exporter)) as service:
        service.post("/predict/churn", json=BATCH, headers=IDS)
    ((path, headers, body),) = collector.posts
    assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    assert b"01b0-query" in body
    assert b"snowflake.batch_id" in body


def test_the_trace_is_propagated_to_sagemaker(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", collector.url)
    session = AwsSession(boto3.Session("id", "key", region_name="us-east-1"))
    endpoint = SageMakerEndpoint(session, connections=1)
    asked = Invocation("churn", b"x", "application/x-npy")
    endpoint.invoke(asked, timeout_s=5)
    known = trace.SpanContext(int(TRACE, 16), int(PARENT, 16), is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(known)):
        endpoint.invoke(replace(asked, variant="v1"), timeout_s=5)
    sent = [headers.get("x-amzn-sagemaker-custom-attributes") for _, headers, _ in collector.posts]
    assert sent == [None, f"traceparent=00-{TRACE}-{PARENT}-01"]


def test_tracing_is_off_without_a_configured_collector() -> None:
    named = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}
    assert exporter_from({}) is None
    assert exporter_from({**named, "OTEL_SDK_DISABLED": "true"}) is None
    assert exporter_from({**named, "OTEL_TRACES_EXPORTER": "none"}) is None
    found = exporter_from({**named, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    assert found is not None
    found.shutdown()
    with pytest.raises(CallerError, match="not as grpc"):
        exporter_from({**named, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
