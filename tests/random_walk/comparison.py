"""Where the store and the model must say the same, after each step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sluicegate import keys
from sluicegate.model import STATUSES, TERMINAL, Counts, Policy
from sluicegate.store import invariants, jobs
from sluicegate.store.connection import Store
from sluicegate.store.rendering import fields
from tests.random_walk.judging import narrows_of, pause_of
from tests.random_walk.model import UNKNOWN, Model, ModelJob
from tests.random_walk.pauses import Pause
from tests.random_walk.wishes import IDS, UNKNOWN_ID, Wishes
from tests.support.job_builder import HOUR_MS, now_ms


class Stored(NamedTuple):
    """A job as the store has it: its hash, the score of its lease, its events, what operators did to it."""

    fields: Mapping[str, str]
    lease: str | None
    history: tuple[str, ...]
    controls: tuple[tuple[str, str], ...]


class Seen(NamedTuple):
    """What the store holds after a step. before, after: its clock around the step."""

    jobs: Mapping[str, Stored]
    pause: Pause
    narrow: Mapping[str, Pause]
    before: int
    after: int


async def see(store: Store, job_ids: Collection[str], before: int) -> Seen:
    """Read these jobs; one that is not there has no fields."""
    reads: list[tuple[Any, ...]] = [("HGETALL", keys.PAUSE), ("HGETALL", keys.PAUSES)]
    for job_id in job_ids:
        reads += [("HGETALL", keys.job(job_id)), ("ZSCORE", keys.LEASES, job_id)]
        reads += [
            ("XRANGE", keys.job_events(job_id), "-", "+"),
            ("XRANGE", keys.job_controls(job_id), "-", "+"),
        ]
    pause, narrow, *replies = await store.commands(*reads)
    found = {}
    for at, job_id in enumerate(job_ids):
        flat, lease, events, controls = replies[at * 4 : at * 4 + 4]
        found[job_id] = Stored(fields(flat), lease, kinds(events), acts(controls))
    return Seen(found, pause_of(pause), narrows_of(narrow), before, await now_ms(store))


def kinds(events: Sequence[Any]) -> tuple[str, ...]:
    return tuple(fields(flat)["kind"] for _, flat in events)


def acts(controls: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Who did what to a run."""
    return tuple((fields(flat)["actor"], fields(flat)["action"]) for _, flat in controls)


def learn(model: Model, seen: Seen) -> None:
    """Take over the times that no reply told; each must lie within the step."""
    for job in model.jobs.values():
        _learn(job, seen.jobs[job.id].fields, seen.before, seen.after)


def agree(model: Model, seen: Seen, *, times: bool = True) -> None:
    """Each job's fields, place, lease and history, and the pauses. times: also what only the store knew."""
    assert (seen.pause, seen.narrow) == (model.pause, model.narrow.pauses)
    for job in model.jobs.values():
        stored, expected = _stored(seen.jobs[job.id]), _expected(model, job)
        if not times:
            for name in ("due", *IDS):
                stored[name], expected[name] = stored[name] is not None, expected[name] is not None
        assert stored == expected, f"{job.id}: {stored}, expected {expected}"


def horizon(model: Model, after: int) -> int:
    """The latest deadline that is not an hour away."""
    latest = 0
    for job in model.jobs.values():
        limit = job.started + job.max_run_ms if job.started and job.max_run_ms else None
        times = (job.due, job.lease, limit)
        latest = max(latest, *(time for time in times if time and time < after + HOUR_MS // 2), 0)
    return latest


async def counts_agree(store: Store, model: Model) -> None:
    """The exact counts that a drain is judged by (P-10)."""
    known = list(model.jobs.values())
    counted = {name: sum(job.status == name for job in known) for name in STATUSES}
    delayed = sum(job.due is not None and job.due > model.clock for job in known)
    stale = sum(job.status == "running" and model.stale(job) for job in known)
    counted["queued"] -= delayed
    counted["running"] -= stale
    assert await jobs.counts(store) == Counts(delayed=delayed, stale_running=stale, **counted)


async def sound(store: Store) -> None:
    """What doctor looks at. A test may leave a lifted pause lying for longer than a sweeper does."""
    found = (await invariants.survey(store)).faults
    faults = [each.sentence for each in found if each.code != "lift_left"]
    assert not faults, faults


async def nobody_sleeps(store: Store, model: Model, policies: Collection[Policy]) -> None:
    """While a policy may claim something, its bell holds a token: whoever waits on it wakes."""
    for policy in policies:
        if claimable(model, policy):
            assert await store.command("LLEN", keys.bell(policy.id)) == 1, f"nobody wakes for {policy}"


def claimable(model: Model, policy: Policy) -> bool:
    return not model.pause.paused and policy.id in model.policies and bool(model.heads(policy))


def _learn(job: ModelJob, stored: Mapping[str, str], before: int, after: int) -> None:
    if job.created == UNKNOWN:
        job.created = int(stored["created_at"])
        assert before <= job.created <= after
    if job.since == UNKNOWN and stored.get("entry", "").startswith("+w"):
        job.since = int(stored["entry"][2:].partition("-")[0])
        assert before <= job.since <= after
    for name in IDS:
        if getattr(job.wishes, name) == UNKNOWN_ID:
            job.wishes = job.wishes._replace(**{name: stored[name]})
    if job.due == UNKNOWN:
        job.due = int(stored["next_attempt_at"])
        assert before + job.wait <= job.due <= after + job.wait


def _stored(seen: Stored) -> dict[str, Any]:
    stored = seen.fields
    queued = stored["status"] == "queued"
    return {
        "status": stored["status"],
        "attempt": int(stored.get("attempt", 1)),
        "releases": int(stored.get("releases", 0)),
        "token": int(stored.get("token", 0)),
        "owner": stored.get("owner"),
        "started": int(stored["started_at"]) if "started_at" in stored else None,
        "lease": seen.lease and int(seen.lease),
        "cancel": (stored["cancel_by"], stored.get("cancel_reason")) if "cancel_at" in stored else None,
        "ended": stored.get("ended"),
        "due": int(stored["next_attempt_at"]) if "next_attempt_at" in stored else None,
        "waits in": stored["entry"][:2] if queued and "entry" in stored else None,
        "finished": "finished_at" in stored,
        "redriven": "redriven_at" in stored,
        "history": seen.history,
        "controls": seen.controls,
        **{name: stored.get(name) for name in Wishes._fields},
    }


def _expected(model: Model, job: ModelJob) -> dict[str, Any]:
    return {
        "status": job.status,
        "attempt": job.attempt,
        "releases": job.releases,
        "token": job.token,
        "owner": job.owner,
        "started": job.started,
        "lease": job.lease,
        "cancel": job.cancel,
        "ended": job.ended,
        "due": job.due,
        "waits in": model.place(job),
        "finished": job.status in TERMINAL,
        "redriven": job.redriven,
        "history": job.history,
        "controls": job.controls,
        **{name: job.wishes.told.get(name) for name in Wishes._fields},
    }
