"""Signs that a person may be needed: read in one bounded call, judged elsewhere."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from sluicegate import keys
from sluicegate.model import Lane, LiveControl
from sluicegate.store import rendering
from sluicegate.store.connection import Store
from sluicegate.store.workers import LIVE_SECONDS
from sluicegate.times import to_rfc3339

MOST: Final = 100
"""Leases, lanes of a band of priority, and runs that wait for a person, that are looked at."""
STEP_BUDGET: Final = "step_budget"
CONTROL: Final = ("control", "control_version", "control_by", "control_reason", "control_at")


class Unheld(Struct, frozen=True, kw_only=True):
    """A running job whose lease has run out, or whose worker is gone. heard_ms: when it was heard of."""

    job_id: str
    expires_ms: int
    worker_id: str
    started_ms: int | None
    heard_ms: int | None


class Waiting(Struct, frozen=True, kw_only=True):
    """Jobs that wait for long: what they need of a worker, since when the first, how many stand with it."""

    lane: Lane
    since_ms: int
    number: int


class _Failure(Struct, rename="camel"):
    failure_class: str | None = None


class _Budget(Struct, rename="camel"):
    """What of a step's budget is told here; the worker knows the rest."""

    step_id: str | None = None
    step_index: int | None = None
    begun: int | None = None
    last: _Failure | None = None


class Signs(Struct, frozen=True, kw_only=True):
    """due_ms: since when a job whose time has come waits to be put into its lane."""

    now_ms: int
    unheld: list[Unheld]
    waiting: list[Waiting]
    due_ms: int | None


class Run(Struct, frozen=True, kw_only=True):
    """What a running job is at. stuck: its step, the attempt before, got nowhere."""

    type: str
    started_at: str | None
    step_id: str | None = None
    step_index: int | None = None
    step_attempt: int | None = None
    stuck: bool = False


async def read(store: Store, *, old_seconds: float) -> Signs:
    """old_seconds: what waits for less is no sign. Raises StoreError."""
    now, unheld, waiting, due = await store.run(
        "signs", old_ms=int(old_seconds * 1000), heard_ms=LIVE_SECONDS * 1000, most=MOST
    )
    return Signs(
        now_ms=int(now),
        unheld=[
            Unheld(
                job_id=job_id,
                expires_ms=int(expires),
                worker_id=worker_id,
                started_ms=int(started) if started else None,
                heard_ms=int(float(heard)) if heard else None,
            )
            for job_id, expires, worker_id, started, heard in unheld
        ],
        waiting=[
            Waiting(lane=Lane.parse(f"0|{name}|"), since_ms=int(since), number=int(number))
            for name, since, number in waiting
        ],
        due_ms=int(due) if due else None,
    )


async def held(store: Store, job_ids: list[str]) -> dict[str, LiveControl]:
    """What operators want of these runs, for those of the first of them that they hold."""
    asked = job_ids[:MOST]
    if not asked:
        return {}
    found = await store.commands(*(("HMGET", keys.job(job_id), *CONTROL) for job_id in asked))
    controls = {}
    for job_id, values in zip(asked, found, strict=True):
        stored = {name: value for name, value in zip(CONTROL, values, strict=True) if value is not None}
        control = rendering.live_control(stored)
        if control is not None and (control.paused or control.takeover):
            controls[job_id] = control
    return controls


async def runs(store: Store, job_ids: list[str]) -> dict[str, Run]:
    """What the first of these jobs are at, those that are there."""
    asked = job_ids[:MOST]
    if not asked:
        return {}
    replies = await store.commands(
        *(("HMGET", keys.job(job_id), "lane", "started_at") for job_id in asked),
        *(("HGET", keys.job_shelf(job_id, "facts"), STEP_BUDGET) for job_id in asked),
    )
    found = {}
    for at, job_id in enumerate(asked):
        (lane, started), budget = replies[at], replies[len(asked) + at]
        if lane is not None:
            found[job_id] = Run(
                type=Lane.parse(lane).type,
                started_at=to_rfc3339(int(started)) if started else None,
                **_step(budget),
            )
    return found


def _step(budget: str | None) -> dict[str, Any]:
    """Of the step at hand, from what its worker keeps of it; nothing when that cannot be read."""
    try:
        kept = msgspec.json.decode(budget or "{}", type=_Budget)
    except msgspec.MsgspecError:
        return {}
    stuck = kept.last is not None and kept.last.failure_class == "stuck_no_progress"
    return {
        "step_id": kept.step_id, "step_index": kept.step_index, "step_attempt": kept.begun, "stuck": stuck,
    }  # fmt: skip
