"""An operator's control of one run: kept with the job, pushed to its worker, remembered (H-10, L-3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sluicegate import keys
from sluicegate.errors import Conflict, TooLarge
from sluicegate.model import ID_PATTERN, LiveControl
from sluicegate.store import positions, rendering, words
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339

Action = Literal["pause", "resume", "takeover", "retry_step", "hard_reset_step", "resume_from_step"]
Matter = Literal["recovery", "summary"]
Outcome = Literal["ack", "rejected"]


class Request(Struct, frozen=True, kw_only=True):
    """One action. recovery: what is asked of the steps, as the worker will read it, without its id and time.

    metadata: what the control event and the job's event say of it.
    """

    action: Action
    actor: str
    hard: bool = False
    reason: str | None = None
    summary: str | None = None
    recovery: dict[str, Any] | None = None
    metadata: dict[str, Any]


class ControlEvent(Struct, rename="camel", kw_only=True):
    """Something that an operator did to a run (L-3)."""

    id: str
    task_run_id: str
    actor_user_id: str
    action: str
    metadata_json: dict[str, Any]
    created_at: str


async def request(store: Store, job_id: str, asked: Request) -> bool:
    """Keep it and tell the worker; False when it was so already.

    Raises NotFound, Conflict (job_state_conflict), TooLarge past SLUICEGATE_MAX_CONTROL_EVENTS,
    OutcomeUnknown.
    """
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    summary = {"text": asked.summary, "byUserId": asked.actor}
    most = store.settings.max_control_events
    reply = await store.run(
        "control",
        repeatable=False,
        id=job_id,
        actor=asked.actor,
        action=asked.action,
        hard=int(asked.hard),
        reason=asked.reason or "",
        summary=_json(summary) if asked.summary else "",
        recovery=_json(asked.recovery) if asked.recovery else "",
        metadata=_json(asked.metadata),
        most=most,
    )
    match reply[0]:
        case "DONE":
            return True
        case "UNCHANGED":
            return False
        case "NOT_HELD":
            raise Conflict(
                f"job {job_id} is neither paused nor taken over: a summary ends such a time",
                code="job_state_conflict",
            )
        case "FULL":
            raise TooLarge(
                f"job {job_id} has had {most:,} control events (SLUICEGATE_MAX_CONTROL_EVENTS): "
                "only a resume is accepted"
            )
    raise words.refused(reply[0], job_id)


async def answer(
    store: Store,
    worker_id: str,
    job_id: str,
    token: int,
    *,
    what: Matter,
    request_id: str,
    outcome: Outcome = "ack",
    message: str | None = None,
) -> LiveControl | None:
    """The holder's word: a recovery is done or rejected, a summary was passed on. What is wanted then.

    One that was answered before, or replaced meanwhile, is left alone. Raises LeaseLost, Conflict, NotFound.
    """
    reply = await store.run(
        "answer_control",
        worker=worker_id,
        id=job_id,
        token=token,
        what=what,
        request=request_id,
        outcome=outcome,
        message=message or "",
    )
    if reply[0] not in ("DONE", "OTHER"):
        raise words.refused(reply[0], job_id)
    return rendering.live_control(rendering.fields(reply[1]))


async def page(
    store: Store, job_id: str, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[ControlEvent], str | None]:
    """What was done to a run, oldest first, and the cursor of the next page. Raises NotFound, Invalid."""
    low = positions.after_cursor(cursor)
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    there, entries = await store.commands(
        ("EXISTS", keys.job(job_id)),
        ("XRANGE", keys.job_controls(job_id), low, "+", "COUNT", limit + 1),
    )
    if not there:
        raise words.refused("JOB_NOT_FOUND", job_id)
    shown = [event(job_id, entry) for entry in entries[:limit]]
    return shown, shown[-1].id if len(entries) > limit else None


async def latest(store: Store, job_id: str, limit: int) -> list[ControlEvent]:
    """What was done to a run lately, newest first; nothing for a job that is gone."""
    entries = await store.command("XREVRANGE", keys.job_controls(job_id), "+", "-", "COUNT", limit)
    return [event(job_id, entry) for entry in entries]


def event(job_id: str, entry: tuple[str, Sequence[str]]) -> ControlEvent:
    event_id, flat = entry
    stored = rendering.fields(flat)
    return ControlEvent(
        id=event_id,
        task_run_id=job_id,
        actor_user_id=stored["actor"],
        action=stored["action"],
        metadata_json=msgspec.json.decode(stored["metadata"]),
        created_at=to_rfc3339(positions.position(event_id)[0]),
    )


def _json(value: dict[str, Any]) -> bytes:
    """The same document is the same text: scripts compare it."""
    return msgspec.json.encode(value, order="sorted")
