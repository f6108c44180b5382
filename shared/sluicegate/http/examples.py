"""Examples for the API's description: made from the schemas, with values that a reader can believe.

What belongs together is written down whole, by the name of its struct; a test holds every example against
its schema, and every example of a body against the struct that decodes it.
"""

from __future__ import annotations

from typing import Any, Final

JOB_ID: Final = "01985f0c-3b7a-7c42-9d1e-6f2a8b4c5d7e"
CREDENTIAL: Final = "wt_7c429d1e6f2a8b4c"
MOMENT: Final = "2026-01-31T12:00:00.000Z"
WORKER_ID: Final = "worker-1"
EVENT_ID: Final = "1769860800000-0"
TASK: Final[dict[str, Any]] = {
    "repository": "acme/site",
    "targetRuntime": "codex",
    "task": {"instructions": "Add a contact page", "publish": {"mode": "branch"}},
}

VALUES: Final[dict[str, Any]] = {
    "id": JOB_ID,
    "jobId": JOB_ID,
    "retryId": "01985f0d-5c1b-7a10-8e2f-0a1b2c3d4e5f",
    "artifact_id": "01985f10-0c2d-7e3f-8a4b-5c6d7e8f9a0b",
    "workerId": WORKER_ID,
    "claimedBy": WORKER_ID,
    "leaseToken": "1",
    "leaseSeconds": 30,
    "type": "task",
    "repository": "acme/site",
    "reason": "deploying version 12",
    "message": "tests passed",
    "level": "info",
    "errorMessage": "the tests failed",
    "failureClass": "transient_runtime",
    "lastError": "the tests failed",
    "lane": "0|task|github.com/acme/site|git|",
    "digest": "sha256:" + "0" * 64,
    "contentType": "text/plain",
    "name": "logs/execute.log",
    "sizeBytes": 1024,
    "version": 4,
    "status": "running",
    "actorUserId": "ann",
    "requestedByUserId": "ann",
    "token": "sgwt_...",
    "outcome": "complete",
    "nextCursor": None,
    "tool": "queue.get",
    "ids": [JOB_ID],
    "index": 0,
    "attempt": 1,
    "attempts": 3,
    "capabilities": ["git"],
    "matched": 1,
    "changed": 1,
}
"""By the name of a field, where its type allows the value."""

WHOLE: Final[dict[str, Any]] = {
    "NewJob": {"type": "task", "payload": TASK, "priority": 10},
    "Job": {
        "id": JOB_ID,
        "type": "task",
        "status": "running",
        "priority": 10,
        "payload": TASK,
        "repository": "github.com/acme/site",
        "requiredCapabilities": ["codex", "git"],
        "attempt": 1,
        "maxAttempts": 3,
        "createdAt": MOMENT,
        "updatedAt": "2026-01-31T12:00:02.000Z",
        "startedAt": "2026-01-31T12:00:02.000Z",
        "claimedBy": WORKER_ID,
        "leaseExpiresAt": "2026-01-31T12:00:32.000Z",
        "createdByUserId": "ann",
    },
    "SystemState": {
        "workersPaused": True,
        "mode": "drain",
        "reason": "deploying version 12",
        "requestedByUserId": "ann",
        "requestedAt": MOMENT,
        "updatedAt": MOMENT,
        "until": None,
        "version": 4,
    },
    "Event": {
        "id": EVENT_ID,
        "jobId": JOB_ID,
        "level": "info",
        "message": "worker-1 claimed the job",
        "payload": {"kind": "job.claimed", "workerId": WORKER_ID, "attempt": 1},
        "createdAt": MOMENT,
    },
    "EnqueueManyCall": {"jobs": [{"type": "task", "payload": TASK}]},
    "AppendCall": {
        "workerId": WORKER_ID,
        "leaseToken": "1",
        "level": "info",
        "message": "tests passed",
        "payload": {"kind": "tests", "passed": 12},
    },
    "ManyCall": {"filter": {"type": "task", "failureClass": "transient_runtime"}, "dryRun": True},
    "FactCall": {
        "workerId": WORKER_ID,
        "leaseToken": "1",
        "name": "start_commit",
        "value": "3f786850e387550fdab836ed7e6dc881de23001b",
    },
    "PresenceCall": {
        "workerId": WORKER_ID,
        "host": "build-7",
        "pid": 4711,
        "version": "0.1.0",
        "capabilities": ["codex", "git"],
        "types": ["task"],
        "slots": 4,
        "state": "busy",
        "jobs": [JOB_ID],
    },
    "CancelCall": {"reason": "no longer needed"},
    "RetryCall": {"reason": "the network is back"},
    "PauseCall": {"action": "pause", "mode": "drain", "reason": "deploying version 12"},
    "NarrowPauseCall": {
        "action": "pause",
        "scope": "repository",
        "value": "acme/site",
        "mode": "drain",
        "reason": "its build is broken",
        "until": "2126-01-31T12:00:00Z",
    },
    "NarrowPause": {
        "scope": "repository",
        "value": "github.com/acme/site",
        "mode": "drain",
        "reason": "its build is broken",
        "requestedByUserId": "ann",
        "requestedAt": MOMENT,
        "updatedAt": MOMENT,
        "until": None,
        "version": 4,
    },
    "AuditEntry": {
        "id": EVENT_ID,
        "control": "worker_pause",
        "action": "pause",
        "mode": "drain",
        "reason": "deploying version 12",
        "actorUserId": "ann",
        "target": None,
        "forced": False,
        "createdAt": MOMENT,
    },
    "ToolCall": {"tool": "queue.get", "arguments": {"jobId": JOB_ID}},
}
"""By the name of a struct."""


def example(schema: dict[str, Any], components: dict[str, Any], field: str = "") -> Any:
    """A value that the schema accepts. field: the name of the property that it is for."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return WHOLE[name] if name in WHOLE else example(components[name], components, field)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return VALUES[field] if VALUES.get(field) in schema["enum"] else schema["enum"][0]
    choices = schema.get("anyOf")
    if choices:
        if field in VALUES and any(_fits(VALUES[field], each) for each in choices):
            return VALUES[field]
        useful = [each for each in choices if each.get("type") != "null"]
        return example(useful[0], components, field)
    if field in VALUES and _fits(VALUES[field], schema):
        return VALUES[field]
    return _of_type(schema, components, field)


def _of_type(schema: dict[str, Any], components: dict[str, Any], field: str) -> Any:
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {
                name: example(properties[name], components, name)
                for name in schema.get("required", ())
                if name in properties
            }
        case "array":
            if prefix := schema.get("prefixItems"):
                return [example(each, components) for each in prefix]
            items = schema.get("items") or {}
            return [example(items, components, field.removesuffix("s"))] if items else []
        case "string":
            return MOMENT if field.endswith("At") else "..."
        case "integer" | "number":
            return schema.get("default") or max(schema.get("minimum", 1), 1)
        case "boolean":
            return schema.get("default", False)
        case "null":
            return None
    return {}


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is of a schema's type; the finer rules are a test's to check."""
    kinds = {
        "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list,
        "object": dict, "null": type(None),
    }  # fmt: skip
    kind = kinds.get(schema.get("type", ""))
    return kind is not None and isinstance(value, kind)  # type: ignore[arg-type]
