"""The state of a job in one line, true as of now: what it does or waits for, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from services.control.dashboard.rendering import age, spell, ticking
from sluicegate.model import Job, SystemState
from sluicegate.operations.ladder import TRIED, Rung
from sluicegate.operations.reasons import Reason
from sluicegate.operations.run_state import live_control
from sluicegate.operations.timeline import Step, Timeline
from sluicegate.store.workers import SILENT_SECONDS, Clocks, Presence
from sluicegate.times import from_rfc3339, to_rfc3339

SHOWN_REASONS: Final = 2
SHOWN_CHARACTERS: Final = 300
AFTER: Final = {
    TRIED["soft_reset"]: " after a soft reset",
    TRIED["hard_reset"]: " after a hard reset",
    TRIED["queue_retry"]: " after the queue gave it back",
    TRIED["operator"]: ", as an operator asked",
}
HELD_BY: Final = {"worker_pause": "all workers are paused (quiesce)", "operator": "an operator holds it"}


class Facts(Struct, kw_only=True):
    """What is known of a job. shown: its status as people call it. steps: of a task, in number."""

    job: Job
    shown: str
    system: SystemState
    timeline: Timeline
    reasons: Sequence[Reason] = ()
    presence: Presence | None = None
    steps: int = 0


def state_line(facts: Facts) -> Markup:
    """Text with times that a page counts up. It ends without a full stop."""
    job = facts.job
    match facts.shown:
        case "queued" | "delayed":
            return _waiting(facts)
        case "stale":
            return _stale(facts)
        case "running" if job.cancel_requested_at:
            return Markup("Cancelling: asked by {} {}{}, waiting for {} to end every process of it").format(
                job.cancel_requested_by_user_id, age(job.cancel_requested_at, ago=True),
                _because(job.cancel_reason), job.claimed_by,
            )  # fmt: skip
        case "running":
            return _running(facts)
        case "succeeded":
            return Markup("Succeeded{}{}").format(_took(facts), _colon(job.result_summary))
        case "cancelled":
            return Markup("Cancelled by {}{}").format(
                job.cancel_requested_by_user_id or "somebody", _colon(job.cancel_reason)
            )
        case "dead_letter":
            tries = f"{job.attempt} attempt{'' if job.attempt == 1 else 's'}"
            return Markup("Dead letter after {}{}").format(tries, _cause(job))
        case _:
            return Markup("Failed{}{}").format(_took(facts), _cause(job))


def idle(facts: Facts) -> tuple[str, float] | None:
    """Since when the step's command is silent, and for how many seconds it was when its worker told it.

    None when it is not, or nobody knows. Counted from when the store heard it, whatever hosts' clocks say.
    """
    clocks = _clocks(facts)
    if clocks is None or facts.presence is None or clocks.silent_seconds < SILENT_SECONDS:
        return None
    heard_ms = from_rfc3339(facts.presence.last_seen)
    return to_rfc3339(heard_ms - int(clocks.silent_seconds * 1000)), clocks.silent_seconds


def _waiting(facts: Facts) -> Markup:
    told = [reason.message for reason in facts.reasons[:SHOWN_REASONS]]
    more = len(facts.reasons) - len(told)
    if not told:
        return Markup("Waiting for a worker that is free")
    tail = f"; {more} more reason{'' if more == 1 else 's'} below" if more > 0 else ""
    return Markup("Waiting: {}{}").format(_cut("; ".join(told)), tail)


def _stale(facts: Facts) -> Markup:
    job = facts.job
    if job.cancel_requested_at:
        then = "a cancel is asked for: the sweeper ends it, or you do"
    elif facts.system.workers_paused:
        then = "nothing happens to it while the workers are paused, but you can cancel it"
    else:
        then = "the sweeper gives it back to the queue"
    return Markup("Stale: {} has not renewed its lease, which ended {}{}; {}").format(
        job.claimed_by, age(job.lease_expires_at, ago=True), _where(facts, ", in "), then
    )


def _running(facts: Facts) -> Markup:
    timeline = facts.timeline
    if timeline.holds:
        hold = next(iter(timeline.holds.values()))
        what = "Stopped where it was" if any(each.hard for each in timeline.holds.values()) else "Waiting"
        why = HELD_BY.get(hold.reason, hold.reason)
        return Markup("{}{} for {}: {}{}").format(
            what, _where(facts, " in " if what.startswith("Stopped") else " at its checkpoint in "),
            ticking(hold.since), why, _by(facts),
        )  # fmt: skip
    wanted = live_control(facts.job)
    coming = ", to wait at its next checkpoint" if wanted is not None and wanted.paused else ""
    if coming and wanted is not None and wanted.requested_by_user_id:
        coming += f" as {wanted.requested_by_user_id} asked"
    step, rung = timeline.step, _rung(timeline.step)
    line = Markup("Running{}{}").format(_where(facts, " "), _try(facts, rung))
    if step is None or rung is None:
        since = timeline.stage or timeline.attempt
        return line + Markup(" for {}{}").format(ticking(since.started_at), coming) if since else line
    return line + _limits(facts, rung) + coming


def _limits(facts: Facts, rung: Rung) -> Markup:
    """What its clocks show of what they may."""
    clocks, silence = _clocks(facts), idle(facts)
    line = Markup(", for {}").format(ticking(rung.started_at))
    if clocks is not None and facts.presence is not None:
        heard_ms = from_rfc3339(facts.presence.last_seen)
        line = Markup(", for {}").format(ticking(to_rfc3339(heard_ms - int(clocks.ran_seconds * 1000))))
    if rung.wall_seconds is not None:
        line += f" of {rung.wall_seconds:g} s"
    if silence is not None:
        line += Markup(", idle {}").format(ticking(silence[0]))
        if rung.idle_seconds is not None:
            line += f" of {rung.idle_seconds:g} s"
    return line


def _where(facts: Facts, before: str) -> str:
    """`step 2 of 4 (build)`, `stage prepare`; nothing for a job without either."""
    step, stage = facts.timeline.step, facts.timeline.stage
    if step is not None:
        total = f" of {facts.steps}" if facts.steps > step.index else ""
        return f"{before}step {step.index + 1}{total} ({step.id})"
    return f"{before}stage {stage.name}" if stage is not None else ""


def _try(facts: Facts, rung: Rung | None) -> str:
    """`, attempt 2 after a soft reset, the job's attempt 2 of 3`."""
    job, said = facts.job, ""
    if rung is not None:
        said = f", attempt {rung.attempt}{AFTER.get(rung.tried, '')}"
    if rung is None and facts.timeline.stage is None:
        return f" attempt {job.attempt} of {job.max_attempts} on {job.claimed_by}"
    return said + (f", the job's attempt {job.attempt} of {job.max_attempts}" if job.attempt > 1 else "")


def _rung(step: Step | None) -> Rung | None:
    return step.rungs[-1] if step is not None and step.rungs and step.rungs[-1].outcome == "running" else None


def _clocks(facts: Facts) -> Clocks | None:
    """Of the job's command, if it is its worker that tells them."""
    here = facts.presence
    if here is None or here.worker_id != facts.job.claimed_by or facts.timeline.holds:
        return None
    return next((each for each in here.clocks if each.job_id == facts.job.id), None)


def _by(facts: Facts) -> str:
    wanted = live_control(facts.job)
    if "operator" in facts.timeline.holds and wanted is not None and wanted.requested_by_user_id:
        return f" ({wanted.requested_by_user_id}{_because(wanted.reason)})"
    reason = facts.system.reason
    return f" ({facts.system.requested_by_user_id}{_because(reason)})" if facts.system.workers_paused else ""


def _took(facts: Facts) -> str:
    job = facts.job
    if not job.started_at or not job.finished_at:
        return ""
    seconds = max(0, from_rfc3339(job.finished_at) - from_rfc3339(job.started_at)) / 1000
    which = f" in its attempt {job.attempt}," if job.attempt > 1 else ""
    return f"{which} after {spell(seconds)}"


def _cause(job: Job) -> str:
    what = f" ({job.failure_class})" if job.failure_class else ""
    return what + _colon(job.error_message)


def _because(why: str | None) -> str:
    return f": {_cut(why)}" if why else ""


def _colon(text: str | None) -> str:
    return f": {_cut(text)}" if text else ""


def fits(text: str) -> bool:
    """Whether the line says all of it."""
    return len(text) <= SHOWN_CHARACTERS and "\n" not in text.strip()


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
