"""Says where the store contradicts itself: each job in exactly one place, all indexes agreeing (DESIGN 7).

Reads only, in pages, with memory that does not grow with the number of jobs: every job is followed to its
place, every lane is counted, and the totals must agree, so nothing can stand in a lane that no job refers to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sluicegate import keys
from sluicegate.model import MAX_ATTEMPTS_DEFAULT, STATUSES, TERMINAL
from sluicegate.store import lane_invariants
from sluicegate.store.connection import Store
from sluicegate.store.pages import at_once, key_pages, zset_pages
from sluicegate.store.rendering import fields

RUNNING: Final = ("owner", "started_at", "token")

WHERE: Final = {
    "entries": "the lanes",
    "delayed": "the delayed jobs",
    "running": "the leases",
    "dead": "the dead letters",
}

Found = list[str]


async def check(store: Store) -> list[str]:
    """The differences, one sentence each; empty when all is well.

    The store may be at work meanwhile: a difference counts only if a second look finds it again, and totals
    are compared only if nothing happened between the first read and the last.
    """
    first = await _survey(store)
    if not first:
        return []
    second = set(await _survey(store))
    return [difference for difference in first if difference in second]


async def _survey(store: Store) -> Found:
    found: Found = []
    newest = await _newest_notice(store)
    totals = dict.fromkeys(("entries", "delayed", "running", "dead"), 0)
    for status in STATUSES:
        async for page in zset_pages(store, keys.status(status)):
            found += await _jobs(store, status, list(page), totals)
    found += await _strays(store)
    entries, faults = await lane_invariants.survey(store)
    found += faults
    found += await _pause(store)
    delayed, running, dead = await store.commands(
        ("ZCARD", keys.DELAYED), ("ZCARD", keys.LEASES), ("XLEN", keys.DEAD)
    )
    stored = {"entries": entries, "delayed": delayed, "running": running, "dead": dead}
    at_rest = await _newest_notice(store) == newest
    for name, size in stored.items():
        if at_rest and size != totals[name]:
            found.append(f"{WHERE[name]} hold {size} jobs, and {totals[name]} jobs say that they are there")
    return found


async def _newest_notice(store: Store) -> Any:
    """Every transition of a job appends one."""
    return await store.command("XREVRANGE", keys.EVENTS, "+", "-", "COUNT", 1)


async def _jobs(store: Store, status: str, job_ids: Sequence[str], totals: dict[str, int]) -> Found:
    """Follow each job from the index of its status to its hash and its one place."""
    found: Found = []
    reads: list[tuple[Any, ...]] = []
    for job_id in job_ids:
        reads += [
            ("HGETALL", keys.job(job_id)), ("ZSCORE", keys.LEASES, job_id), ("ZSCORE", keys.DELAYED, job_id),
        ]  # fmt: skip
    replies = await at_once(store, reads)
    waiting: list[tuple[str, str, str]] = []
    dead: list[tuple[str, str]] = []
    for at, job_id in enumerate(job_ids):
        flat, lease, due = replies[at * 3 : at * 3 + 3]
        job = fields(flat)
        if job.get("status") != status:
            found.append(f"job {job_id} is listed as {status}, its record says {job.get('status')}")
            continue
        found += [f"{status} job {job_id} {fault}" for fault in _faults(job, status, lease, due)]
        if job.get("entry") and status in ("queued", "running"):
            waiting.append((job_id, job["lane"], job["entry"]))
        if job.get("dead"):
            dead.append((job_id, job["dead"]))
        totals["delayed"] += due is not None
        totals["running"] += lease is not None
    totals["entries"] += len(waiting)
    totals["dead"] += len(dead)
    found += await _entries(store, status, waiting)
    letters = [("XRANGE", keys.DEAD, entry, entry) for _, entry in dead]
    for (job_id, entry), reply in zip(dead, await store.commands(*letters) if letters else [], strict=True):
        if not reply or fields(reply[0][1]).get("job") != job_id:
            found.append(f"dead_letter job {job_id} refers to dead letter {entry}, which is not its own")
    return found


def _faults(job: dict[str, str], status: str, lease: str | None, due: str | None) -> list[str]:
    """What a job's own fields and indexes say against its status."""
    # A terminal job may keep the reference to the lane it was in.
    in_lane = status in ("queued", "running") and job.get("entry")
    places = [name for name, there in (("lane", in_lane), ("delayed", due), ("lease", lease)) if there]
    expected: list[list[str]] = [[]]
    if status == "queued":
        expected = [["lane"], ["delayed"]]
    elif status == "running":
        expected = [["lane", "lease"]]
    faults = []
    if places not in expected:
        faults.append(f"stands in {' and '.join(places) or 'no place'}")
    if due is not None and job.get("next_attempt_at") != f"{float(due):.0f}":
        faults.append(f"is due at {due}, its record says {job.get('next_attempt_at')}")
    if due is None and job.get("next_attempt_at"):
        faults.append("has a next attempt, but is not delayed")
    if status == "queued" and job.get("cancel_at"):
        faults.append("waits although its cancel was requested")
    if status == "running" and not all(name in job for name in RUNNING):
        faults.append("lacks what a running job has")
    if status in ("queued", "cancelled") and job.get("owner"):
        faults.append("still has an owner")
    if (status in TERMINAL) != ("finished_at" in job):
        faults.append("has an end that does not fit")
    if (status == "dead_letter") != ("dead" in job):
        faults.append("has a dead letter that does not fit")
    if int(job.get("attempt", 1)) > int(job.get("max_attempts", MAX_ATTEMPTS_DEFAULT)):
        faults.append("has more attempts than it may")
    return faults


async def _entries(store: Store, status: str, waiting: Sequence[tuple[str, str, str]]) -> Found:
    """Each job's entry stands in its lane: delivered and pending when it runs, undelivered when it waits."""
    found: Found = []
    reads: list[tuple[Any, ...]] = []
    for _, lane, entry in waiting:
        stream, at = keys.lane(lane, entry[:2]), entry[2:]
        reads += [("XRANGE", stream, at, at), ("XPENDING", stream, "workers", at, at, 1)]
    replies = await at_once(store, reads)
    for place, (job_id, lane, entry) in enumerate(waiting):
        stored, pending = replies[place * 2 : place * 2 + 2]
        if isinstance(pending, Exception):
            found.append(f"{status} job {job_id} refers to lane {lane}{entry[:2]}, which is not there")
            continue
        if not stored or fields(stored[0][1]).get("job") != job_id:
            found.append(f"{status} job {job_id} refers to {entry} of lane {lane}, which is not its own")
        if bool(pending) != (status == "running"):
            found.append(f"{status} job {job_id} {'is' if pending else 'is not'} pending in lane {lane}")
    return found


async def _strays(store: Store) -> Found:
    """Records of jobs that no index of a status knows."""
    found: Found = []
    prefix = keys.job("")
    async for names in key_pages(store, keys.job("*")):
        job_ids = sorted({name.removeprefix(prefix).partition(":")[0] for name in names})
        stored = await store.commands(*(("HGET", keys.job(job_id), "status") for job_id in job_ids))
        known = [(job_id, status) for job_id, status in zip(job_ids, stored, strict=True) if status]
        found += [
            f"something is kept with job {job_id}, which has no record"
            for job_id in sorted(set(job_ids) - {job_id for job_id, _ in known})
        ]
        reads = [("ZSCORE", keys.status(status), job_id) for job_id, status in known]
        scores = await store.commands(*reads) if reads else []
        for (job_id, status), score in zip(known, scores, strict=True):
            if score is None:
                found.append(f"job {job_id} is {status}, and is not listed as such")
    return found


async def _pause(store: Store) -> Found:
    """The pause record is there, and no version was given out twice."""
    flat = await store.command("HGETALL", keys.PAUSE)
    if not flat:
        return ["there is no pause record: claims are refused until somebody pauses or resumes"]
    record = fields(flat)
    given_out = await store.command("HGET", keys.META, "pause_version")
    if record.get("version") != given_out:
        return [f"the pause is at version {record.get('version')}, the last given out is {given_out}"]
    return [] if record.get("paused") in ("0", "1") else ["the pause record does not say whether it is on"]
