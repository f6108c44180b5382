"""What spans and their attributes are called: OpenTelemetry's conventions for messaging and HTTP, and ours.

docs/reference/tracing.md has the same, which a test compares.
"""

from __future__ import annotations

from typing import Any, Final

SYSTEM: Final = "sluicegate"
SCOPE: Final = "sluicegate"
LONGEST: Final = 128
"""Characters of a text in an attribute."""

MESSAGING_SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
BATCH_COUNT: Final = "messaging.batch.message_count"
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
ERROR_TYPE: Final = "error.type"
WORKER: Final = "sluicegate.worker.id"
LEASE_TOKEN: Final = "sluicegate.lease.token"  # noqa: S105 - a number of ours
WAITED_MS: Final = "sluicegate.waited_ms"
OUTCOME: Final = "sluicegate.outcome"
STAGE: Final = "sluicegate.stage"
STEP_ID: Final = "sluicegate.step.id"
STEP_INDEX: Final = "sluicegate.step.index"
STEP_ATTEMPT: Final = "sluicegate.step.attempt"
STEP_STRATEGY: Final = "sluicegate.step.strategy"
STEP_NEXT: Final = "sluicegate.step.next"
STEP_LIMIT: Final = "sluicegate.step.limit"
EXIT_CODE: Final = "process.exit.code"
SIGNAL: Final = "sluicegate.step.signal"

FACTS: Final = {
    "outcome": OUTCOME,
    "exit_code": EXIT_CODE,
    "signal": SIGNAL,
    "limit": STEP_LIMIT,
    "next": STEP_NEXT,
}
"""Those that are known only while a span lasts, by the name that `Span.note` takes."""

SPANS: Final = {
    "enqueue <type>": "producer",
    "<method> <route>": "server",
    "claim <type>": "client",
    "process <type>": "consumer",
    "stage <name>": "internal",
    "step <n>": "internal",
    "step <n> attempt": "internal",
    "hard reset": "internal",
}
"""Their names and kinds. Numbers stand for no person's words, so that there are few names."""


def of_message(operation: str, kind: str, job_type: Any, job_id: Any) -> dict[str, Any]:
    """What every span says of the job that it sends, receives or processes; kind: of the operation."""
    return {
        MESSAGING_SYSTEM: SYSTEM,
        OPERATION_NAME: operation,
        OPERATION_TYPE: kind,
        DESTINATION: job_type,
        MESSAGE_ID: job_id,
    }
