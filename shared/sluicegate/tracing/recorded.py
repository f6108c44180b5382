"""Spans that are recorded. Imported by `tracing.start` only: it needs the extra."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as Recorded
from opentelemetry.util.types import AttributeValue

from sluicegate.tracing import Claimed, Span, Spans, TraceContext, names

Facts = dict[str, AttributeValue]

ENDED: Final = {"Complete": "succeeded", "Release": "released", "Cancelled": "cancelled"}
RAISED: Final = {
    "JobCancelled": "cancelled", "CancelledError": "cancelled", "JobReleased": "released",
    "LeaseLost": "lease_lost",
}  # fmt: skip
"""What these mean, by the names of their classes; every other one that ends a span is a failure."""


class RecordedSpan(Span):
    __slots__ = ("_forgotten", "_span", "_token")

    def __init__(self, span: Recorded) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self._forgotten = False

    def __enter__(self) -> Self:
        self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        if error is not None:
            self._raised(error)
        if not self._forgotten:  # one that never ends is never exported
            self._span.end()

    def note(self, **facts: str | int | None) -> None:
        _note(self._span, facts)

    def failed(self, failure_class: str) -> None:
        self._failed("failed", failure_class)

    def ended(self, ending: object | None) -> None:
        if ending is None:
            self._failed("lease_lost", "lease_lost")
        elif (outcome := ENDED.get(type(ending).__name__)) is not None:
            self.note(outcome=outcome)
        else:
            self.failed(getattr(ending, "failure_class", None) or "unclassified")

    def answered(self, status: int) -> None:
        self._span.set_attribute(names.HTTP_STATUS, status)
        if status >= 500:
            self._span.set_attribute(names.ERROR_TYPE, str(status))
            self._span.set_status(StatusCode.ERROR)

    def forget(self) -> None:
        self._forgotten = True

    def _raised(self, error: BaseException) -> None:
        """By its class alone: its message may say anything."""
        outcome = RAISED.get(type(error).__name__)
        if outcome == "lease_lost":
            self._failed(outcome, outcome)
        elif outcome is not None:
            self.note(outcome=outcome)
        else:
            self.failed(getattr(error, "failure_class", None) or type(error).__name__)

    def _failed(self, outcome: str, kind: str) -> None:
        self._span.set_attributes({names.OUTCOME: outcome, names.ERROR_TYPE: kind[: names.LONGEST]})
        self._span.set_status(StatusCode.ERROR)


class RecordedSpans(Spans):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def claimed(self, attempts: Sequence[Claimed], seconds: float) -> None:
        """Only of jobs that belong to a trace: of another one it would be a trace of its own."""
        now = time.time_ns()
        for claimed in attempts:
            if (context := claimed.trace) is None:
                continue
            facts: Facts = names.of_message("claim", "receive", claimed.type, claimed.job_id)
            facts |= {names.BATCH_COUNT: len(attempts), names.WORKER: claimed.worker_id[: names.LONGEST]}
            span = self._tracer.start_span(
                f"claim {claimed.type}", _inside(context), SpanKind.CLIENT, facts,
                start_time=now - int(seconds * 1e9),
            )  # fmt: skip
            span.end(now)

    def attempt(self, claimed: Claimed) -> Span:
        facts: Facts = names.of_message("process", "process", claimed.type, claimed.job_id)
        facts |= {names.WORKER: claimed.worker_id[: names.LONGEST], names.LEASE_TOKEN: claimed.token}
        if (waited_ms := claimed.waited_ms) is not None:
            facts[names.WAITED_MS] = waited_ms
        name = f"process {claimed.type}"
        return self._begun(name, SpanKind.CONSUMER, facts, _inside(claimed.trace))

    def stage(self, name: str) -> Span:
        return self._begun(f"stage {name}", SpanKind.INTERNAL, {names.STAGE: name})

    def step(self, index: int, step_id: str) -> Span:
        facts: Facts = {names.STEP_INDEX: index, names.STEP_ID: step_id[: names.LONGEST]}
        return self._begun(f"step {index + 1}", SpanKind.INTERNAL, facts)

    def step_attempt(self, index: int, number: int, strategy: str | None) -> Span:
        facts: Facts = {names.STEP_INDEX: index, names.STEP_ATTEMPT: number}
        if strategy is not None:
            facts[names.STEP_STRATEGY] = strategy
        return self._begun(f"step {index + 1} attempt", SpanKind.INTERNAL, facts)

    def hard_reset(self) -> Span:
        return self._begun("hard reset", SpanKind.INTERNAL, {})

    def request(self, method: str, route: str, parent: TraceContext | None) -> Span:
        facts: Facts = {names.HTTP_METHOD: method, names.HTTP_ROUTE: route}
        return self._begun(f"{method} {route}", SpanKind.SERVER, facts, _inside(parent))

    def note(self, **facts: str | int | None) -> None:
        _note(get_current_span(), facts)

    def _begun(self, name: str, kind: SpanKind, facts: Facts, context: Context | None = None) -> RecordedSpan:
        return RecordedSpan(self._tracer.start_span(name, context, kind, facts))


def _inside(trace: TraceContext | None) -> Context:
    """What goes on from there; for none the beginning of a trace, whatever this code runs in."""
    if trace is None:
        return Context()
    context = SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([trace.tracestate]) if trace.tracestate else None,
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _note(span: Recorded, facts: dict[str, str | int | None]) -> None:
    for name, value in facts.items():
        if value is not None:
            span.set_attribute(names.FACTS[name], value[: names.LONGEST] if isinstance(value, str) else value)
