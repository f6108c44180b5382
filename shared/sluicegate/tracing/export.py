"""Where spans go: to the program's own tracer provider if it has one, else by OTLP over HTTP.

The standard variables say the rest: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES,
OTEL_SERVICE_NAME, OTEL_BSP_*. Spans are sent from a thread, out of a queue of bounded length: a collector
that is away costs spans, and nobody waits for it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import sluicegate
from sluicegate.errors import ConfigurationError
from sluicegate.tracing import names

FLUSH_SECONDS: Final = 3.0
"""How long a process that ends goes on trying to send what is left."""
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

COMPLAINING: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal",
)  # fmt: skip
COMPLAINT_SECONDS: Final = 60.0


class Seldom(logging.Filter):
    """Lets through one line a minute: a collector that is away for a night is told of at every try."""

    def __init__(self) -> None:
        super().__init__()
        self._again_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._again_at:
            return False
        self._again_at = record.created + COMPLAINT_SECONDS
        return True


def tracer(service: str) -> trace.Tracer:
    """Raises ConfigurationError for an exporter that is not here."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider(service))
    return trace.get_tracer(names.SCOPE, sluicegate.__version__)


def provider(service: str) -> TracerProvider:
    own = {
        "service.name": f"sluicegate-{service}",
        "service.version": sluicegate.__version__,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }
    # What the environment says of the resource wins over what we say.
    resource = Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    if _is_exported():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        seldom = Seldom()
        for name in COMPLAINING:
            logging.getLogger(name).addFilter(seldom)
    return made


def flush() -> None:
    """Send what is left, for a bounded time: the sending itself knows no bound that it keeps."""
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):
        sending = threading.Thread(target=found.force_flush, name="last spans", daemon=True)
        sending.start()
        sending.join(FLUSH_SECONDS)


def _is_exported() -> bool:
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if exporter == "none":
        return False
    if exporter != "otlp":
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER={exporter!r} is not allowed: otlp, or none")
    for variable in PROTOCOLS:
        protocol = os.environ.get(variable, "").strip() or "http/protobuf"
        if protocol != "http/protobuf":
            raise ConfigurationError(f"{variable}={protocol!r} is not allowed: only http/protobuf")
    return True
