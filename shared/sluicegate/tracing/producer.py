"""The span of an enqueue by the client, in programs that trace themselves.

A program that has not imported OpenTelemetry has no span here, and pays for the question alone. One that has
gets a span from the tracer provider that it has set up, as from any library; without one, none is recorded.
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
    if (api := sys.modules.get("opentelemetry.trace")) is None:
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
