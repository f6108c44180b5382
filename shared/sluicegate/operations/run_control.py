"""What an operator may ask of one run, the same on every surface (H-10, L-3, L-5, 70-24, 70-56)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from sluicegate.errors import Invalid
from sluicegate.model import Job, RecoveryStrategy
from sluicegate.operations import task_payload
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import Call, PageQuery, Reason
from sluicegate.store import controls
from sluicegate.store import jobs as job_records
from sluicegate.store.connection import Store
from sluicegate.store.controls import Action, ControlEvent, Request

FIELDS: Final[dict[Action, frozenset[str]]] = {
    "pause": frozenset({"hard"}),
    "resume": frozenset({"summary"}),
    "takeover": frozenset(),
    "retry_step": frozenset({"stepId", "strategy"}),
    "hard_reset_step": frozenset({"stepId"}),
    "resume_from_step": frozenset({"stepId"}),
}
"""What each action takes beside a reason."""
NEED_A_STEP: Final = frozenset({"retry_step", "resume_from_step"})
RECOVERY: Final = frozenset({"retry_step", "hard_reset_step", "resume_from_step"})


class ControlCall(Call):
    """Pause a run at its next checkpoint, or at once (hard); take it over, which is a pause in which a person
    works in its place; let it go on, with a summary for the agent. Or go back to a step: run it again,
    in the same files (soft_reset) or in rebuilt ones (hard_reset), or drop all that is finished from it on.
    """

    action: Action
    reason: Reason | None = None
    hard: Annotated[bool | None, Meta(description="pause: stop its processes at once")] = None
    summary: (
        Annotated[str, Meta(max_length=8_000, description="resume: what was done, for the agent")] | None
    ) = None
    step_id: Annotated[str, Meta(max_length=128, description="a step's id, or `step-<n>`")] | None = None
    strategy: Annotated[RecoveryStrategy | None, Meta(description="retry_step: soft_reset if not given")] = (
        None
    )


async def control(store: Store, job_id: str, call: ControlCall, *, actor: str) -> Job:
    """Ask it of the run; the job as it is then. What is so already stays as it is, and no event is added.

    Raises Invalid (a field that the action does not take, an unknown step), NotFound, TooLarge, and Conflict
    (job_state_conflict): the job has ended, is being cancelled, or does not run and a step was meant.
    """
    _require_own_fields(call)
    reason, summary = _said(call.reason), _said(call.summary)
    recovery = None
    if call.action in RECOVERY:
        recovery = _recovery(await job_records.get(store, job_id), call, reason, actor)
    given = {
        "reason": reason,
        "hard": call.hard or None,
        "summary": summary,
        "stepId": recovery and recovery.get("stepId"),
        "strategy": recovery and recovery.get("strategy"),
    }
    asked = Request(
        action=call.action,
        actor=actor,
        hard=bool(call.hard),
        reason=reason,
        summary=summary,
        recovery=recovery,
        metadata={name: value for name, value in given.items() if value is not None},
    )
    await controls.request(store, job_id, asked)
    return await job_records.get(store, job_id)


async def events(store: Store, job_id: str, asked: PageQuery) -> Listed[ControlEvent]:
    """What operators did to a run, oldest first. Raises NotFound, Invalid (cursor)."""
    found, cursor = await controls.page(store, job_id, cursor=asked.cursor, limit=asked.limit)
    return Listed(items=found, next_cursor=cursor)


def _require_own_fields(call: ControlCall) -> None:
    given = {"hard": call.hard, "summary": call.summary, "stepId": call.step_id, "strategy": call.strategy}
    for name, value in given.items():
        if value is not None and name not in FIELDS[call.action]:
            takers = ", ".join(action for action, fields in FIELDS.items() if name in fields)
            raise Invalid.field(name, f"goes with {takers}, not with {call.action}")
    if call.action in NEED_A_STEP and call.step_id is None:
        raise Invalid.field("stepId", f"is needed for {call.action}")


def _recovery(job: Job, call: ControlCall, reason: str | None, actor: str) -> dict[str, Any]:
    """What the worker will read, with the step's own id. Raises Invalid."""
    if job.type != "task":
        raise Invalid.field("action", f"{call.action} is for tasks: job {job.id} is of type {job.type}")
    asked = {"action": call.action, "requestedByUserId": actor, "reason": reason}
    if call.step_id is not None:
        task = task_payload.read(job.payload)
        if (step := task.step(call.step_id)) is None:
            some = ", ".join(each.id for each in task.task.steps[:10])
            raise Invalid.field("stepId", f"{call.step_id!r} is no step of this task; it has {some}")
        asked["stepId"] = step.id
    if call.action == "retry_step":
        asked["strategy"] = call.strategy or "soft_reset"
    elif call.action == "hard_reset_step":
        asked["strategy"] = "hard_reset"
    return {name: value for name, value in asked.items() if value is not None}


def _said(text: str | None) -> str | None:
    """A blank one is none."""
    return (text or "").strip() or None
