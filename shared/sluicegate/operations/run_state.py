"""What a job is doing, in words: its status, and what operators want of it."""

from __future__ import annotations

import msgspec

from sluicegate.model import Job, LiveControl


def shown_state(job: Job) -> str:
    """`running (cancel requested)`, `queued (delayed)`, `running (taken over, retry step build)`."""
    if job.status == "running" and job.cancel_requested_at:
        return "running (cancel requested)"
    more = ["delayed"] if job.status == "queued" and job.next_attempt_at else []
    if (wanted := live_control(job)) is not None:
        more += _held(wanted)
        if wanted.recovery is not None:
            more.append(_asked(wanted))
    return f"{job.status} ({', '.join(more)})" if more else job.status


def control_lines(job: Job) -> list[tuple[str, str]]:
    """Each control that holds or is pending, with its name: by whom, since when, why."""
    wanted = live_control(job)
    if wanted is None:
        return []
    lines = []
    if held := _held(wanted):
        lines.append(("held", _said(held[0], wanted.requested_by_user_id, wanted.updated_at, wanted.reason)))
    if (asked := wanted.recovery) is not None:
        words = f"{_asked(wanted)}{f' ({asked.strategy})' if asked.strategy else ''}"
        lines.append(("asked", _said(words, asked.requested_by_user_id, asked.updated_at, asked.reason)))
    if (summary := wanted.summary) is not None:
        lines.append(("summary", _said("to be told", summary.by_user_id, summary.updated_at, summary.text)))
    return lines


def live_control(job: Job) -> LiveControl | None:
    found = job.payload.get("liveControl")
    return None if found is None else msgspec.convert(found, LiveControl)


def _held(wanted: LiveControl) -> list[str]:
    if wanted.takeover:
        return ["taken over and stopped" if wanted.hard else "taken over"]
    if wanted.paused:
        return ["stopped" if wanted.hard else "paused"]
    return []


def _asked(wanted: LiveControl) -> str:
    asked = wanted.recovery
    return "" if asked is None else f"{asked.action.replace('_', ' ')} {asked.step_id or ''}".strip()


def _said(what: str, who: str | None, when: str | None, why: str | None) -> str:
    return f"{what} by {who} at {when}{f': {why}' if why else ''}"
