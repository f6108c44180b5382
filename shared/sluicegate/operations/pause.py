"""Pausing the workers: what may be asked, and the whole answer, the same on every surface (P-1..P-6).

`change` and `status` return one document, so that who pauses sees at once what is still running.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from sluicegate.errors import BadRequest, Invalid
from sluicegate.log import log
from sluicegate.model import PauseMode, SystemState
from sluicegate.operations.drain import Drain, progress
from sluicegate.store import audit as audit_log
from sluicegate.store import jobs as job_records
from sluicegate.store import pause as pause_record
from sluicegate.store.audit import AuditEntry
from sluicegate.store.connection import Store
from sluicegate.times import from_rfc3339, now_ms

MAX_REASON: Final = 2000
MAX_AHEAD_MS: Final = 365 * 86_400_000
LATEST: Final = 5


class PauseCall(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A request to pause or resume. A pause needs a mode and a reason; a resume may give a reason.

    `force_resume` resumes though jobs still run. `until` is when the pause ends by itself; one that is
    changed without it has no end any more. `expected_version` refuses the change when someone else changed
    the pause since the caller looked.
    """

    action: Literal["pause", "resume"] | None = None
    mode: PauseMode | None = None
    reason: str | None = None
    force_resume: bool = False
    until: Annotated[str, Meta(description="when it ends by itself, like 2026-01-31T12:00:00Z")] | None = None
    expected_version: Annotated[int, Meta(ge=0)] | None = None


class LatestAudit(Struct, rename="camel"):
    latest: list[AuditEntry]


class PauseStatus(Struct, rename="camel", kw_only=True):
    """`metrics` counts exactly (P-10): {queued, delayed, running, staleRunning, isDrained}."""

    system: SystemState
    metrics: dict[str, int | bool]
    drain: Drain
    audit: LatestAudit


def malformed(error: Invalid) -> Invalid | BadRequest:
    """The refusal of an undecodable call: what says how and why is 400, all else stays 422 (70-3, 70-47)."""
    if {each["path"] for each in error.extra["errors"]} & {"action", "mode", "reason", "until"}:
        return BadRequest(error.detail, errors=error.extra["errors"])
    return error


async def status(store: Store) -> PauseStatus:
    """The pause, the counts, what holds up a drain and the latest changes; reading changes nothing."""
    system = await pause_record.read(store)
    counts = await job_records.counts(store)
    latest, _ = await audit_log.page(store, limit=LATEST, control="worker_pause")
    return PauseStatus(
        system=system,
        metrics=pause_record.metrics(counts),
        drain=await progress(store, counts),
        audit=LatestAudit(latest),
    )


async def change(store: Store, call: PauseCall, *, actor: str) -> PauseStatus:
    """Pause, change the pause, or resume; then the new status.

    Raises BadRequest when the call lacks what its action needs, and Conflict: pause_unchanged,
    not_drained (with the metrics), version_conflict. A refused call changes nothing.
    """
    action, reason = _checked(call)
    system = await pause_record.change(
        store,
        action=action,
        mode=call.mode if action == "pause" else None,
        reason=reason,
        actor=actor,
        force=call.force_resume,
        until_ms=until_ms(action, call.until),
        expected_version=call.expected_version,
    )
    _log(action, system, reason=reason, actor=actor, force=call.force_resume)
    return await status(store)


async def end_due(store: Store) -> bool:
    """Resume if the pause was to last until a time that has come; whether it was. Jobs may still run then."""
    system = await pause_record.end_due(store)
    if system is not None:
        _log("resume", system, reason="its time was over", actor="system", force=True)
    return system is not None


def _log(action: str, system: SystemState, **fields: Any) -> None:
    log.info(
        "workers_paused" if action == "pause" else "workers_resumed",
        control="worker_pause",
        action=action,
        mode=system.mode,
        until=system.until,
        version=system.version,
        **fields,
    )


def _checked(call: PauseCall) -> tuple[Literal["pause", "resume"], str | None]:
    reason = (call.reason or "").strip() or None
    if call.action is None:
        raise BadRequest.field("action", "is needed: pause or resume")
    if reason is not None and len(reason) > MAX_REASON:
        raise BadRequest.field("reason", f"is longer than {MAX_REASON:,} characters")
    if call.action == "pause":
        if call.mode is None:
            raise BadRequest.field("mode", "is needed to pause: drain or quiesce")
        if reason is None:
            raise BadRequest.field("reason", "is needed to pause, and may not be blank")
        if call.force_resume:
            raise Invalid.field("forceResume", "goes with action resume only")
    return call.action, reason


def until_ms(action: str, until: str | None) -> int | None:
    """When a pause is to end. Whether that lies ahead is the store's to say, by whose clock it ends."""
    if until is None:
        return None
    if action == "resume":
        raise BadRequest.field("until", "goes with action pause only")
    try:
        ends = from_rfc3339(until)
    except (ValueError, OverflowError):
        raise BadRequest.field("until", "is not a time like 2026-01-31T12:00:00.000Z") from None
    if ends > now_ms() + MAX_AHEAD_MS:
        raise BadRequest.field("until", "is more than 365 days ahead")
    return ends
