"""What an operator can do with one job, and what will happen. The rules are the operations'."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from sluicegate.errors import Invalid
from sluicegate.model import Job, LiveSession, RecoveryAction
from sluicegate.operations import run_control, task_payload
from sluicegate.operations.retries import RETRYABLE
from sluicegate.operations.run_state import live_control
from sluicegate.operations.task_payload import Step
from sluicegate.store.controls import Action as Control


class Action(Struct, frozen=True, kw_only=True):
    """name: in its address. control: of the run, if it is one. hard: with all its processes stopped.

    asks: what the form of one that is no control of the run asks for. will: what will happen, in words.
    """

    name: str
    label: str
    control: Control | None = None
    hard: bool = False
    grave: bool = False
    asks: tuple[str, ...] = ("reason",)
    will: str = ""

    @property
    def fields(self) -> frozenset[str]:
        """What its form asks for."""
        if self.control is None:
            return frozenset(self.asks)
        return run_control.FIELDS[self.control] - {"hard"} | {"reason"}

    @property
    def needs_step(self) -> bool:
        return self.control in run_control.NEED_A_STEP


ACTIONS: Final = {
    each.name: each
    for each in (
        Action(name="cancel", label="Cancel", grave=True),
        Action(name="retry", label="Retry"),
        Action(
            name="pause",
            label="Pause",
            control="pause",
            will="It goes on to its next checkpoint, between stages, steps and attempts, and waits there.",
        ),
        Action(
            name="stop",
            label="Stop at once",
            control="pause",
            hard=True,
            will=(
                "Every process of the run stands still, at once. Nothing is lost; a connection that one "
                "holds may time out meanwhile."
            ),
        ),
        Action(
            name="takeover",
            label="Take over",
            control="takeover",
            will="It waits at its next checkpoint, and everyone sees that the run is yours.",
        ),
        Action(
            name="resume",
            label="Resume",
            control="resume",
            will="It goes on where it waits. A summary is kept for the agent's next prompt.",
        ),
        Action(
            name="retry_step",
            label="Run again",
            control="retry_step",
            will=(
                "What runs now is interrupted, and the step is run again. It uses no attempt of its budget."
            ),
        ),
        Action(
            name="hard_reset_step",
            label="Run again in rebuilt files",
            control="hard_reset_step",
            will=(
                "What runs now is interrupted. The files are rebuilt from the last finished step, and the "
                "step is run again in them."
            ),
        ),
        Action(
            name="resume_from_step",
            label="Go on from here",
            control="resume_from_step",
            grave=True,
            will=(
                "What runs now is interrupted. The saved results of this step and of all behind it are "
                "dropped, and they are run again."
            ),
        ),
        Action(
            name="message",
            label="Send a message",
            asks=("message",),
            will="It stands at once in the run's inbox, and in the agent's next prompt.",
        ),
        Action(
            name="open_session",
            label="Open a terminal",
            asks=("provider",),
            will="The run's worker opens a terminal on it. Whoever may see this page may watch.",
        ),
        Action(
            name="grant",
            label="Ask for the keyboard",
            asks=("ttlMinutes",),
            will=(
                "You may type into the run's terminal until the time is over. Whoever has the keyboard now "
                "loses it. What is typed goes to what runs there."
            ),
        ),
        Action(
            name="revoke",
            label="End the session",
            grave=True,
            will="The terminal is closed to everyone, at once. The run goes on.",
        ),
    )
}
OBJECTIVE: Final = 300
"""Characters of an objective's first line."""
RECOVERY: Final[tuple[RecoveryAction, ...]] = ("retry_step", "hard_reset_step", "resume_from_step")


def offered(job: Job, shown: str) -> list[Action]:
    """In the order in which they are shown. shown: the status as people call it."""
    if job.status in RETRYABLE:
        return [ACTIONS["retry"]]
    if job.terminal:
        return []
    if job.cancel_requested_at:
        return [ACTIONS["cancel"]] if shown == "stale" else []
    wanted = live_control(job)
    held = wanted is not None and wanted.paused
    names = ["resume"] if held else ["pause"]
    if not (held and wanted is not None and wanted.hard):
        names.append("stop")
    if not (held and wanted is not None and wanted.takeover):
        names.append("takeover")
    return [ACTIONS[name] for name in (*names, "cancel")]


def offered_of_session(job: Job, session: LiveSession | None) -> list[Action]:
    """What can be done with a task's terminal, and to its agent."""
    if job.type != "task" or job.terminal or job.cancel_requested_at:
        return []
    names = ["message"]
    if session is None or session.status in ("revoked", "ended", "error"):
        names.append("open_session")
    else:
        names += ["grant", "revoke"] if session.status == "ready" else ["revoke"]
    return [ACTIONS[name] for name in names]


def steps(job: Job) -> list[Step]:
    """Of a task that runs: those that can be gone back to. None of any other job."""
    if job.type != "task" or job.status != "running" or job.cancel_requested_at:
        return []
    return task_steps(job)


def task_steps(job: Job) -> list[Step]:
    """Of any task; none of what cannot be read as one."""
    try:
        return task_payload.read(job.payload).task.steps if job.type == "task" else []
    except Invalid:
        return []


def objective(job: Job) -> str | None:
    """Of a task, the first line of what it was asked to do."""
    task = job.payload.get("task") if job.type == "task" else None
    asked = task.get("instructions") if isinstance(task, dict) else None
    lines = asked.strip().splitlines() if isinstance(asked, str) else []
    return lines[0][:OBJECTIVE] if lines else None


def consequence(action: Action, job: Job, shown: str) -> str:
    """What will happen, in words."""
    match action.name:
        case "cancel" if job.status == "queued":
            return "It ends at once as cancelled. No worker will take it any more."
        case "cancel" if shown == "stale":
            return (
                "Its lease has expired, so no worker is waited for: it ends at once as cancelled. A worker "
                "that is still at it is refused when it comes back."
            )
        case "cancel":
            return (
                f"{job.claimed_by} is asked to stop. It ends every process of the job, keeps what there is "
                "of output and files, and says so; then the job is cancelled. Until then it is shown as "
                "“cancel requested”. It cannot be taken back."
            )
        case "retry" if job.status == "dead_letter":
            return (
                "The same job gets a new life: it waits in its lane with attempt 1. Finished steps and the "
                "history are kept."
            )
        case "retry":
            return "A new job with the same body waits in its lane. This one stays as it is."
        case _:
            return action.will
