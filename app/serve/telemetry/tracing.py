"""OpenTelemetry traces: a span for each request, spans for its phases below it, under the caller's trace if it sent
``traceparent``.

Tracing is off unless OpenTelemetry's own variables name a collector. While it is off, nothing of its SDK is imported, and a
request costs one comparison. The attributes' names are the project's own, because no convention covers tabular models or
Snowflake's queries; they hold no user names and no values. While a request is scored its span is the thread's current one, and
the endpoint adapter passes it on.

An error's text and stack are left out of spans, because they could hold a value.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.errors import CallerError
from app.serve.request import PredictionRequest, bounded

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

#: Seconds for the last spans to be sent when the process ends.
CLOSE_S = 5.0

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_NOTHING = nullcontext()


def exporter_from(environment: Mapping[str, str]) -> SpanExporter | None:
    """An exporter for OTLP over HTTP, from OpenTelemetry's own variables; None if they name no collector.

    Raises CallerError for the protocol gRPC, which is not included.
    """
    named = any(environment.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    if not named or off:
        return None
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise CallerError(
            f"traces are sent as http/protobuf, not as {protocol}; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and the "
            "collector's port for it, usually 4318"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Tracing:
    """The spans of requests. Thread-safe."""

    def __init__(self, exporter: SpanExporter | None, share: float, version: str) -> None:
        """``exporter``: None for no tracing. ``share``: the part of the requests that is traced, if the caller did not decide."""
        self._provider = _provider(exporter, share, version) if exporter else None
        self._tracer = self._provider.get_tracer("snowsage.serve") if self._provider else None

    def traced(self, request: PredictionRequest) -> AbstractContextManager[None]:
        """A block that is the request's span; sets the request's trace id."""
        if self._tracer is None:
            if sent := request.headers.get("traceparent"):
                found = _TRACEPARENT.fullmatch(sent)
                request.trace_id = found[1] if found else ""
            return _NOTHING
        return self._span(request, self._tracer)

    @contextmanager
    def _span(self, request: PredictionRequest, tracer: trace.Tracer) -> Iterator[None]:
        parent = TraceContextTextMapPropagator().extract(request.headers)
        span = tracer.start_span("predict", parent, trace.SpanKind.SERVER, start_time=request.at_ns)
        request.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        if span.is_recording():
            request.phase_span = lambda name: _phase(tracer, name)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            request.phase_span = None
            span.set_attributes(_attributes(request))
            span.end()

    def close(self) -> None:
        """Send the remaining spans, for at most ``CLOSE_S`` seconds. Blocks."""
        if self._provider is not None:
            # A daemon thread: a collector that does not answer must not keep the process alive.
            ending = threading.Thread(target=self._provider.shutdown, name="snowsage-traces", daemon=True)
            ending.start()
            ending.join(CLOSE_S)


@contextmanager
def _phase(tracer: trace.Tracer, name: str) -> Iterator[None]:
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False):
        yield


def _attributes(request: PredictionRequest) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "ml.model.name": bounded(request.model),
        "ml.model.version": request.version,
        "ml.model.variant": request.variant,
        "ml.batch.rows": request.rows,
        "snowflake.query_id": request.query_id,
        "snowflake.batch_id": request.batch_id,
        "snowsage.caller": request.caller,
    }
    return {name: value for name, value in attributes.items() if value != ""}


def _provider(exporter: SpanExporter, share: float, version: str) -> TracerProvider:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    ours = Resource.create({"service.name": "snowsage", "service.version": version})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override these.
    provider = TracerProvider(
        ParentBased(TraceIdRatioBased(share)), ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
