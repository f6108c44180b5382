"""Pausing the workers: what may be asked, and the whole answer, the same on every surface (P-1..P-6).

`change` and `status` return one document, so that who pauses sees at once what is still running.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

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

MAX_REASON: Final = 2000
LATEST: Final = 5


class PauseCall(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A request to pause or resume. A pause needs a mode and a reason; a resume may give a reason.

    `force_resume` resumes though jobs still run. `expected_version` refuses the change when someone else
    changed the pause since the caller looked.
    """

    action: Literal["pause", "resume"] | None = None
    mode: PauseMode | None = None
    reason: str | None = None
    force_resume: bool = False
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
    """The refusal of an undecodable call: action, mode and reason are 400, all else stays 422 (70-3)."""
    if {each["path"] for each in error.extra["errors"]} & {"action", "mode", "reason"}:
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
        expected_version=call.expected_version,
    )
    log.info(
        "workers_paused" if action == "pause" else "workers_resumed",
        control="worker_pause",
        action=action,
        mode=system.mode,
        reason=reason,
        actor=actor,
        force=call.force_resume,
        version=system.version,
    )
    return await status(store)


def _checked(call: PauseCall) -> tuple[Literal["pause", "resume"], str | None]:
    reason = (call.reason or "").strip() or None
    if call.action is None:
        raise _missing("action", "is needed: pause or resume")
    if reason is not None and len(reason) > MAX_REASON:
        raise _missing("reason", f"is longer than {MAX_REASON:,} characters")
    if call.action == "pause":
        if call.mode is None:
            raise _missing("mode", "is needed to pause: drain or quiesce")
        if reason is None:
            raise _missing("reason", "is needed to pause, and may not be blank")
        if call.force_resume:
            raise Invalid.field("forceResume", "goes with action resume only")
    return call.action, reason


def _missing(path: str, message: str) -> BadRequest:
    return BadRequest(f"{path} {message}", errors=[{"path": path, "message": message}])
