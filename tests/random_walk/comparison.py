"""Where the store and the model must say the same, after each step of the walk."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sluicegate import keys
from sluicegate.model import STATUSES, Counts, Policy
from sluicegate.store import jobs, pause
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields
from tests.random_walk.model import UNKNOWN, Model, ModelJob
from tests.support.job_builder import HOUR_MS, now_ms


async def jobs_agree(store: Store, model: Model, before: int) -> int:
    """Each job's fields, place, lease and history. The model learns the times that the store has set.

    before: the store's time before the step. The latest time that is not an hour away comes back.
    """
    reads: list[tuple[Any, ...]] = []
    for job_id in model.jobs:
        reads += [("HGETALL", keys.job(job_id)), ("ZSCORE", keys.LEASES, job_id)]
        reads += [("XRANGE", keys.job_events(job_id), "-", "+")]
    replies = await store.commands(*reads) if reads else []
    after = await now_ms(store)
    horizon = 0
    for at, job in enumerate(model.jobs.values()):
        flat, lease, events = replies[at * 3 : at * 3 + 3]
        stored = fields(flat)
        _learn(job, stored, lease, before, after)
        limit = job.started + job.max_run_ms if job.started and job.max_run_ms else None
        times = (job.due, job.lease, limit)
        horizon = max(horizon, *(time for time in times if time and time < after + HOUR_MS // 2), 0)
        assert _stored(stored, lease, events) == _expected(model, job), job.id
    return horizon


async def numbers_agree(store: Store, model: Model) -> None:
    """Counts (P-10) and the version of the pause (P-2)."""
    known = list(model.jobs.values())
    counted = {name: sum(job.status == name for job in known) for name in STATUSES}
    delayed = sum(job.due is not None and job.due > model.clock for job in known)
    stale = sum(job.status == "running" and model.stale(job) for job in known)
    counted["queued"] -= delayed
    counted["running"] -= stale
    assert await jobs.counts(store) == Counts(delayed=delayed, stale_running=stale, **counted)
    assert (await pause.read(store)).version == model.version


async def nobody_sleeps(store: Store, model: Model, policies: Collection[Policy]) -> None:
    """While a policy may claim something, its bell holds a token: whoever waits on it wakes."""
    if model.paused:
        return
    known = await store.command("HKEYS", keys.POLICIES)
    for policy in policies:
        if policy.id in known and model.heads(policy):
            assert await store.command("LLEN", keys.bell(policy.id)) == 1, f"nobody wakes for {policy}"


def _learn(job: ModelJob, stored: dict[str, str], lease: str | None, before: int, after: int) -> None:
    """Times that the model does not know yet must lie within the step."""
    if job.created == UNKNOWN:
        job.created = int(stored["created_at"])
        assert before <= job.created <= after
    if job.since == UNKNOWN and stored.get("entry", "").startswith("+w"):
        job.since = int(stored["entry"][2:].partition("-")[0])
        assert before <= job.since <= after
    if job.due == UNKNOWN:
        job.due = int(stored["next_attempt_at"])
        assert before + job.wait <= job.due <= after + job.wait
    if job.started == UNKNOWN:
        job.started = int(stored["started_at"])
        assert before <= job.started <= after
    if job.lease == UNKNOWN:
        assert lease is not None
        job.lease = int(lease)
        assert before + job.lease_ms <= job.lease <= after + job.lease_ms


def _stored(stored: dict[str, str], lease: str | None, events: list[Any]) -> dict[str, Any]:
    queued = stored["status"] == "queued"
    return {
        "status": stored["status"],
        "attempt": int(stored.get("attempt", 1)),
        "releases": int(stored.get("releases", 0)),
        "token": int(stored.get("token", 0)),
        "owner": stored.get("owner"),
        "lease": lease and int(lease),
        "cancel": "cancel_at" in stored,
        "ended": stored.get("ended"),
        "due": int(stored["next_attempt_at"]) if "next_attempt_at" in stored else None,
        "waits in": stored["entry"][:2] if queued and "entry" in stored else None,
        "history": [fields(flat)["kind"] for _, flat in events],
    }


def _expected(model: Model, job: ModelJob) -> dict[str, Any]:
    return {
        "status": job.status,
        "attempt": job.attempt,
        "releases": job.releases,
        "token": job.token,
        "owner": job.owner,
        "lease": job.lease,
        "cancel": job.cancel_asked,
        "ended": job.ended,
        "due": job.due,
        "waits in": model.place(job),
        "history": job.history,
    }
