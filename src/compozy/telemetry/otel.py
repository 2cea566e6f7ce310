"""Exports spans over OTLP/HTTP with the SDK of OpenTelemetry (extra `otel`), which reads its variables OTEL_*."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from compozy import __version__
from compozy.errors import CompozyError
from compozy.telemetry.traces import ERROR, INTERRUPTED, RESUMED, Span, Value, read_traceparent

_log = structlog.get_logger(__name__)

# How long the end of a process waits for its last spans to be sent.
_FLUSH_S = 3.0
_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
_wanted_ids: ContextVar[tuple[int, int] | None] = ContextVar("compozy_span_ids", default=None)


class _Ids(RandomIdGenerator):
    """Random IDs, except for the first span of a run, whose IDs are derived from the execution ID."""

    def generate_span_id(self) -> int:
        wanted = _wanted_ids.get()
        return super().generate_span_id() if wanted is None or not wanted[1] else wanted[1]

    def generate_trace_id(self) -> int:
        wanted = _wanted_ids.get()
        return super().generate_trace_id() if wanted is None else wanted[0]


class _ReportingExporter(SpanExporter):
    """Reports once that spans cannot be sent, however long that lasts; the SDK would report each attempt."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._is_failing:
            _log.warning("traces cannot be sent, and are dropped until the collector answers")
        self._is_failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _OtelSpan:
    def __init__(self, recorded: trace.Span) -> None:
        self._span = recorded

    def set(self, name: str, value: Value, /) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def rename(self, name: str, /) -> None:
        """Replace the name."""
        self._span.update_name(name)

    def fail(self, error: str, /) -> None:
        """Mark the span as failed."""
        self._span.set_attribute(ERROR, error)
        self._span.set_status(Status(StatusCode.ERROR))


class OtelTracing:
    """The tracer of this process."""

    def __init__(self, project: str) -> None:
        # The SDK logs every failed attempt; `_ReportingExporter` reports one.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "compozy"}
        about = {**named, "service.version": __version__, "compozy.project": project}
        self._provider = TracerProvider(resource=Resource.create(about), id_generator=_Ids(), shutdown_on_exit=False)
        self._exporter = _ReportingExporter(OTLPSpanExporter())
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("compozy", __version__)

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, Value], kind: str, parent: str | None, /
    ) -> Generator[Span, None, None]:
        """Record a span."""
        context = None if parent is None else _context_of(parent)
        recorded = self._tracer.start_span(name, context=context, kind=_KINDS[kind], attributes=attributes)
        with _lasting(recorded) as shown:
            yield shown

    @contextmanager
    def run_span(
        self, name: str, attributes: Mapping[str, Value], execution_id: str, parent: str | None, *, is_resumed: bool
    ) -> Generator[Span, None, None]:
        """Record the span of a run in this process."""
        caller = read_traceparent(parent)
        trace_id = _derive(execution_id, "trace", 16) if caller is None else int(caller.split("-")[1], 16)
        first_id = _derive(execution_id, "span", 8)
        # An empty context: what happens to be current here belongs to a request, not to the run.
        context = Context() if caller is None else _context_of(caller)
        links = [Link(SpanContext(trace_id, first_id, is_remote=True, trace_flags=TraceFlags(1)))] if is_resumed else []
        token = _wanted_ids.set((trace_id, 0 if is_resumed else first_id))
        try:
            recorded = self._tracer.start_span(
                name, context=context, attributes={**attributes, RESUMED: is_resumed}, links=links
            )
        finally:
            _wanted_ids.reset(token)
        with _lasting(recorded) as shown:
            yield shown

    def traceparent(self) -> str | None:
        """Return the traceparent of the current span."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def close(self) -> None:
        """Send what is left, for a moment at most: a collector that is away does not delay the end of the process."""
        ending = threading.Thread(target=self._provider.shutdown, name="compozy-traces", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)
        if ending.is_alive():
            self._exporter.shutdown()


@contextmanager
def _lasting(recorded: trace.Span) -> Generator[Span, None, None]:
    shown = _OtelSpan(recorded)
    # Texts of exceptions can hold data of the run.
    with trace.use_span(recorded, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield shown
        except CompozyError as error:
            shown.fail(error.code)
            raise
        except Exception as error:
            shown.fail(type(error).__name__)
            raise
        except BaseException:
            # Suspended, canceled, or continued by another process.
            shown.set(INTERRUPTED, True)
            raise


def _context_of(traceparent: str) -> Context:
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _derive(execution_id: str, purpose: str, size: int) -> int:
    digest = hashlib.sha256(f"{purpose}:{execution_id}".encode()).digest()
    return int.from_bytes(digest[:size], "big") or 1
