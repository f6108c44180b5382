"""The span of an enqueue by the client, in programs that trace themselves.

A program gets a span from the tracer provider that it has set up, as from any library. One that has set up
none, or has not even imported OpenTelemetry, has no span here and pays for the question alone.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sluicegate
from sluicegate.tracing import names


def enqueueing(
    job_type: object, *, job_id: object = None, count: int | None = None
) -> AbstractContextManager[Any]:
    """job_type, job_id: as the producer says them, unchecked; None for a batch, which has a count."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        return nullcontext()
    facts = names.of_message("enqueue", "send", job_type, job_id) | {names.BATCH_COUNT: count}
    known = {
        name: value[: names.LONGEST] if isinstance(value, str) else value
        for name, value in facts.items()
        if isinstance(value, str | int)
    }
    tracer = api.get_tracer(names.SCOPE, sluicegate.__version__)
    made: AbstractContextManager[Any] = tracer.start_as_current_span(
        f"enqueue {job_type[: names.LONGEST]}" if isinstance(job_type, str) else "enqueue",
        kind=api.SpanKind.PRODUCER,
        attributes=known,
        record_exception=False,
    )
    return made
