"""From stored fields to what everyone sees: jobs and the pause state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec

from sluicegate.errors import StoreUninitialised
from sluicegate.model import (
    HandoffSummary,
    Job,
    JobSpec,
    LiveControl,
    NarrowPause,
    Pauses,
    Recovery,
    SystemState,
)
from sluicegate.pauses import SCOPES
from sluicegate.store.positions import position
from sluicegate.times import to_rfc3339
from sluicegate.tracing import TraceContext, from_text

_CHANGES = ("created_at", "updated_at", "started_at", "finished_at")
"""Each is written where the job changes; the latest says when it did."""
_spec = msgspec.json.Decoder(JobSpec)
_NARROW: Final = re.compile(
    r"(drain|quiesce|lifted) (\d+) (\d+) (\d+) (\d+)\n([^\n]*)\n([^\n]*)\n(.*)", re.DOTALL
)
"""The record of a narrower pause, as `record_narrow` writes it."""
T = TypeVar("T")


def fields(flat: Sequence[str]) -> dict[str, str]:
    """A flat reply [name, value, ...] as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def spec(stored: Mapping[str, Any]) -> JobSpec:
    return _spec.decode(stored["spec"])


def job(job_id: str, stored: Mapping[str, Any], lease_expires: str) -> Job:
    """A job from its hash. lease_expires: ms as text, empty when it has no lease."""
    immutable = spec(stored)
    trace = from_text(stored["trace"]) if "trace" in stored else None
    payload = immutable.payload
    if stored["status"] in ("queued", "running") and (controls := live_control(stored)):
        payload = {**payload, "liveControl": msgspec.to_builtins(controls)}
    get = stored.get
    running = stored["status"] == "running"
    return Job(
        id=job_id,
        type=immutable.type,
        status=stored["status"],
        priority=immutable.priority,
        payload=payload,
        repository=immutable.repository,
        required_capabilities=immutable.required_capabilities,
        affinity_key=immutable.affinity_key,
        attempt=int(get("attempt", 1)),
        max_attempts=immutable.max_attempts,
        releases=int(get("releases", 0)),
        max_run_seconds=immutable.max_run_seconds,
        created_at=to_rfc3339(int(stored["created_at"])),
        updated_at=to_rfc3339(max(int(stored[name]) for name in _CHANGES if name in stored)),
        started_at=_time(get("started_at")),
        finished_at=_time(get("finished_at")),
        next_attempt_at=_time(get("next_attempt_at")),
        claimed_by=get("owner"),
        lease_expires_at=_time(lease_expires) if running else None,
        result_summary=get("result"),
        error_message=get("error"),
        failure_class=get("failure_class"),
        created_by_user_id=immutable.created_by_user_id,
        cancel_requested_at=_time(get("cancel_at")),
        cancel_requested_by_user_id=get("cancel_by"),
        cancel_reason=get("cancel_reason"),
        retry_of=immutable.retry_of,
        live_session_version=int(stored["live"]) if "live" in stored else None,
        traceparent=trace and trace.traceparent,
        tracestate=(trace and trace.tracestate) or None,
    )


def live_control(stored: Mapping[str, str]) -> LiveControl | None:
    """What operators want of a run, from its stored fields; None when nobody has ever controlled it."""
    if "control" not in stored:
        return None
    words = stored["control"].split()
    return LiveControl(
        paused="paused" in words,
        hard="hard" in words,
        takeover="takeover" in words,
        version=int(stored.get("control_version", 0)),
        reason=stored.get("control_reason"),
        requested_by_user_id=stored.get("control_by"),
        updated_at=_time(stored.get("control_at")),
        recovery=_kept(stored, "recovery", Recovery),
        summary=_kept(stored, "summary", HandoffSummary),
        message_id=stored.get("message_id"),
    )


def _kept(stored: Mapping[str, str], name: str, kind: type[T]) -> T | None:
    """What is kept as JSON beside the id of the control event that brought it; None when it is damaged."""
    try:
        request_id = stored[f"{name}_id"]
        own = {"id": request_id, "updatedAt": to_rfc3339(position(request_id)[0])}
        return msgspec.convert({**msgspec.json.decode(stored[name]), **own}, kind)
    except (KeyError, ValueError, TypeError, msgspec.MsgspecError):
        return None


def new_job(
    job_id: str, encoded_spec: bytes, created_ms: int, due_ms: int | None, trace: TraceContext | None
) -> Job:
    """A job as its enqueue has just stored it. `job` would say the same, at three times the cost."""
    immutable = _spec.decode(encoded_spec)
    created_at = to_rfc3339(created_ms)
    return Job(
        id=job_id,
        type=immutable.type,
        status="queued",
        priority=immutable.priority,
        payload=immutable.payload,
        repository=immutable.repository,
        required_capabilities=immutable.required_capabilities,
        affinity_key=immutable.affinity_key,
        max_attempts=immutable.max_attempts,
        max_run_seconds=immutable.max_run_seconds,
        created_at=created_at,
        updated_at=created_at,
        next_attempt_at=to_rfc3339(due_ms) if due_ms is not None and due_ms > created_ms else None,
        created_by_user_id=immutable.created_by_user_id,
        retry_of=immutable.retry_of,
        traceparent=trace and trace.traceparent,
        tracestate=(trace and trace.tracestate) or None,
    )


def claimed_job(
    job_id: str, flat: Sequence[str], token: str, lease_expires: str, worker_id: str, now: int
) -> Job:
    """A job as its claim returned it: the stored fields from just before, and what the claim changed."""
    stored = fields(flat)
    if stored["status"] != "running":
        stored |= {"status": "running", "owner": worker_id, "started_at": str(now)}
        stored.pop("next_attempt_at", None)
    claimed = job(job_id, stored, lease_expires)
    claimed.lease_token = token
    return claimed


def system(flat: Sequence[str]) -> SystemState:
    return stored_system(fields(flat))


def stored_system(stored: Mapping[str, str]) -> SystemState:
    """The pause state from the fields of its record. Raises StoreUninitialised when it cannot be read."""
    if stored.get("paused") not in ("0", "1") or not stored.get("version", "").isdecimal():
        raise StoreUninitialised("the store has no pause record; pause or resume to write one")
    return SystemState(
        workers_paused=stored["paused"] == "1",
        mode=stored.get("mode"),  # type: ignore[arg-type]
        reason=stored.get("reason"),
        requested_by_user_id=stored.get("by"),
        requested_at=_time(stored.get("requested_at")),
        updated_at=_time(stored.get("updated_at")),
        until=_time(stored.get("until")),
        version=int(stored["version"]),
    )


def pauses(version: str, records: Sequence[str]) -> Pauses:
    """The narrower pauses in force, from their records by name."""
    found = [
        narrow_pause(name, record)
        for name, record in fields(records).items()
        if name.partition("=")[0] in SCOPES
    ]
    items = sorted((each for each in found if each.mode), key=lambda each: (each.scope, each.value))
    return Pauses(items=items, version=int(version) if version.isdecimal() else 0)


def narrow_pause(name: str, record: str) -> NarrowPause:
    """A narrower pause from its record; one that cannot be read is a drain, as far as is known (P-11)."""
    scope: Any = name.partition("=")[0]
    found = _NARROW.fullmatch(record)
    if found is None:
        return NarrowPause(scope=scope, value=unquote(name.partition("=")[2]), mode="drain")
    mode, version, since, updated, until, value, who, why = found.groups()
    if mode == "lifted":
        return NarrowPause(scope=scope, value=value, mode=None, version=int(version))
    return NarrowPause(
        scope=scope,
        value=value,
        mode=mode,  # type: ignore[arg-type]
        reason=why,
        requested_by_user_id=who,
        requested_at=_time(since),
        updated_at=_time(updated),
        until=_time(until) if until != "0" else None,
        version=int(version),
    )


def _time(value: Any) -> str | None:
    return to_rfc3339(int(float(value))) if value else None
