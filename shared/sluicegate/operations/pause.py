"""Pausing the workers: what may be asked, and the whole answer, the same on every surface (P-1..P-6).

`change` and `status` return one document, so that who pauses sees at once what is still running.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from sluicegate.errors import Invalid
from sluicegate.log import log
from sluicegate.model import PauseMode, SystemState
from sluicegate.operations import narrow_pauses
from sluicegate.operations.drain import Drain, progress
from sluicegate.operations.pause_fields import checked_reason, until_ms
from sluicegate.store import audit as audit_log
from sluicegate.store import jobs as job_records
from sluicegate.store import pause as pause_record
from sluicegate.store.audit import AuditEntry, AuditFilter
from sluicegate.store.connection import Store

LATEST: Final = 5
ENDED: Final = "its time was over"
FIELDS: Final = frozenset({"action", "mode", "reason", "until"})
"""Their problems are 400: decode a call within `pause_fields.refusing`."""


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


async def status(store: Store) -> PauseStatus:
    """The pause, the counts, what holds up a drain and the latest changes; reading changes nothing."""
    system = await pause_record.read(store)
    counts = await job_records.counts(store)
    latest, _ = await audit_log.page(store, AuditFilter(control="worker_pause"), limit=LATEST)
    return PauseStatus(
        system=system,
        metrics=pause_record.metrics(counts),
        drain=await progress(store, counts, system),
        audit=LatestAudit(latest),
    )


async def change(store: Store, call: PauseCall, *, actor: str) -> PauseStatus:
    """Pause, change the pause, or resume; then the new status.

    Raises BadRequest when the call lacks what its action needs, and Conflict: pause_unchanged,
    not_drained (with the metrics), version_conflict. A refused call changes nothing.
    """
    action, reason = checked_reason(call.action, call.mode, call.reason)
    if action == "pause" and call.force_resume:
        raise Invalid.field("forceResume", "goes with action resume only")
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


async def end_due(store: Store) -> int:
    """Let go on what was paused until a time that has come, though jobs still run; how many pauses ended."""
    ended = await pause_record.end_due(store)
    told = {"reason": ENDED, "actor": "system"}
    if ended.system is not None:
        _log("resume", ended.system, **told, force=True)
    for lifted in ended.lifted:
        narrow_pauses.log_change("resume", lifted, **told)
    return len(ended.lifted) + (ended.system is not None)


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
