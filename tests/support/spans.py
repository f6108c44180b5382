"""Spans that are kept in memory, and what a test asks of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sluicegate import tracing
from sluicegate.tracing.recorded import RecordedSpans


class Told:
    """The spans that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """In the order in which they began."""
        return sorted((each for each in self.all if each.name == name), key=lambda each: each.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def parent(self, span: ReadableSpan) -> str | None:
        """The name of the span that this one is a part of; its id where that is another process's."""
        if span.parent is None:
            return None
        known = {each.context.span_id: each.name for each in self.all if each.context}
        return known.get(span.parent.span_id, f"{span.parent.span_id:016x}")


@contextmanager
def recorded() -> Iterator[Told]:
    """This process traces inside the block."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = tracing.use(RecordedSpans(provider.get_tracer("test")))
    try:
        yield Told(exporter)
    finally:
        tracing.use(before)
