"""OpenTelemetry: a call -> a span, its phases -> spans below it, beneath the caller's own trace where it sent ``traceparent``.

Off unless OpenTelemetry's own variables name a collector; then nothing of its SDK is imported and a call pays for one comparison.
The attributes' names are ours, for no convention knows tabular models or Snowflake's queries; user names and values are none of
them. While a call is scored its span is the thread's current one, and the adapter of the endpoint passes it on.

The one surprise: an error's text and stack are left out of spans, for a collector is one more place where a value could end up.
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
from app.serve.request import Call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

#: Seconds that the last spans get to leave when the process ends.
CLOSE_S = 5.0

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_NOTHING = nullcontext()


def exporter_from(environment: Mapping[str, str]) -> SpanExporter | None:
    """OTLP over HTTP, as OpenTelemetry's own variables say; None where they name no collector.

    Raises CallerError for the protocol gRPC, which is not built in.
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
            f"traces leave as http/protobuf, not as {protocol}; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and the "
            "collector's port for it, usually 4318"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Tracing:
    """Spans of calls. Safe in several threads."""

    def __init__(self, exporter: SpanExporter | None, share: float, version: str) -> None:
        """``exporter``: None for no tracing. ``share``: of the calls whose sender did not decide, how many are traced."""
        self._provider = _provider(exporter, share, version) if exporter else None
        self._tracer = self._provider.get_tracer("snowsage.serve") if self._provider else None

    def traced(self, call: Call) -> AbstractContextManager[None]:
        """The block is the call's span; the call gets its trace's id."""
        if self._tracer is None:
            if sent := call.headers.get("traceparent"):
                found = _TRACEPARENT.fullmatch(sent)
                call.trace_id = found[1] if found else ""
            return _NOTHING
        return self._span(call, self._tracer)

    @contextmanager
    def _span(self, call: Call, tracer: trace.Tracer) -> Iterator[None]:
        parent = TraceContextTextMapPropagator().extract(call.headers)
        span = tracer.start_span("predict", parent, trace.SpanKind.SERVER, start_time=call.at_ns)
        call.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        if span.is_recording():
            call.phase_span = lambda name: _phase(tracer, name)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            call.phase_span = None
            span.set_attributes(_attributes(call))
            span.end()

    def close(self) -> None:
        """Send what is left, for at most ``CLOSE_S`` seconds. Blocks."""
        if self._provider is not None:
            # A daemon: a collector that does not answer must not keep the process.
            ending = threading.Thread(target=self._provider.shutdown, name="snowsage-traces", daemon=True)
            ending.start()
            ending.join(CLOSE_S)


@contextmanager
def _phase(tracer: trace.Tracer, name: str) -> Iterator[None]:
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False):
        yield


def _attributes(call: Call) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "ml.model.name": call.model,
        "ml.model.version": call.version,
        "ml.model.variant": call.variant,
        "ml.batch.rows": call.rows,
        "snowflake.query_id": call.query_id,
        "snowflake.batch_id": call.batch_id,
        "snowsage.caller": call.caller,
    }
    return {name: value for name, value in attributes.items() if value != ""}


def _provider(exporter: SpanExporter, share: float, version: str) -> TracerProvider:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    ours = Resource.create({"service.name": "snowsage", "service.version": version})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before what we say.
    provider = TracerProvider(
        ParentBased(TraceIdRatioBased(share)), ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
