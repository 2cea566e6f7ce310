"""Decides whether traces are exported: the variables of OpenTelemetry, and whether its packages are installed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

import structlog

from compozy.installation import extra_hint
from compozy.telemetry.traces import start_tracing, stop_tracing

_log = structlog.get_logger(__name__)

EXTRA = "otel"
_PROTOCOL = "http/protobuf"


@contextmanager
def exporting_traces(project: str) -> Generator[None, None, None]:
    """Export the traces of this process until the block ends, if an endpoint is set."""
    if not _is_wanted():
        yield
        return
    # Imported here: the SDK takes 0.4 s to load.
    from compozy.telemetry.otel import OtelTracing

    tracing = OtelTracing(project)
    start_tracing(tracing)
    try:
        yield
    finally:
        stop_tracing(tracing)
        tracing.close()


def _is_wanted() -> bool:
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.sdk") is None:
        _log.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces need opentelemetry-sdk, which is not installed",
            hint=extra_hint(EXTRA),
        )
        return False
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    if protocol != _PROTOCOL:
        _log.warning(f"traces are sent as {_PROTOCOL}, not as {protocol!r}; the endpoint must accept it")
    return True
