"""What the queue promises, in plain Python. The walk does each step here and in the store, and compares.

Times are the store's: the walk reads them back (`learn`) and waits until short ones have passed, so that
for the model every deadline is either over or an hour away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sluicegate.model import TERMINAL, Lane, Policy

Attempts = list[tuple[str, int]]
"""Job and token."""
UNKNOWN = -1
"""A time that the store has set and nobody has read yet."""


@dataclass
class ModelJob:
    id: str
    lane: Lane
    body: dict[str, Any]
    max_attempts: int
    max_run_ms: int | None
    created: int = UNKNOWN
    status: str = "queued"
    attempt: int = 1
    releases: int = 0
    token: int = 0
    owner: str | None = None
    started: int | None = None
    lease: int | None = None
    lease_ms: int = 0
    cancel_asked: bool = False
    ended: str | None = None
    due: int | None = None
    wait: int = 0
    since: int = UNKNOWN
    redriven: bool = False
    condemned: bool = False
    history: list[str] = field(default_factory=list)


@dataclass
class Model:
    clock: int = 0
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    lanes: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    memos: dict[str, tuple[str, Attempts]] = field(default_factory=dict)
    paused: bool = False
    version: int = 0
    types: dict[str, int] = field(default_factory=dict)
    repositories: dict[str, int] = field(default_factory=dict)

    def accept(self, job: ModelJob, *, key: str | None, fingerprint: str, delayed: int | None) -> str:
        """delayed: ms, None for at once. The word of enqueue."""
        if key in self.keys:
            known, first = self.keys[key]
            return f"{'EXISTS' if known == fingerprint else 'CONFLICT'} {first}"
        if stored := self.jobs.get(job.id):
            return f"{'EXISTS' if stored.body == job.body else 'CONFLICT'} {job.id}"
        self.jobs[job.id] = job
        if key is not None:
            self.keys[key] = (fingerprint, job.id)
        if delayed:
            job.due, job.wait = UNKNOWN, delayed
        else:
            self._join(job, "+w")
        return "CREATED"

    def promote(self, limit: int) -> int:
        over = [job for job in self.jobs.values() if job.due is not None and job.due <= self.clock]
        over.sort(key=lambda job: (job.due, job.id))
        for job in over[:limit]:
            job.since = job.due or 0
            job.due = None
            self._join(job, "+r" if job.token else "+s")
        return len(over[:limit])

    def claim(
        self, policy: Policy, worker: str, limit: int, lease_ms: int, request: str, found: Attempts
    ) -> None:
        """Check what a claim returned, job by job, and open those attempts."""
        last, opened = self.memos.get(worker, ("", []))
        if request == last:
            still = [attempt for attempt in opened if self._runs(*attempt, worker)]
            assert found == still, "a repeated request returns the same attempts, as far as they run"
            return
        if self.paused:
            assert found == [], "while paused nothing is claimed"
            return
        self.promote(50)
        for job_id, token in found:
            heads = self.heads(policy)
            job = self.jobs[job_id]
            assert job_id in heads, f"{job_id} is not at the head of a lane that {policy} may read"
            best = min(heads.values())
            assert heads[job_id] == best, f"{job_id} at {heads[job_id]} was claimed before {best}"
            self._leave_lane(job)
            job.token += 1
            assert token == job.token
            job.status, job.owner, job.started = "running", worker, UNKNOWN
            job.lease, job.lease_ms = UNKNOWN, lease_ms
            job.history.append("job.claimed")
        assert len(found) == limit or not self.heads(policy), "work was left behind"
        if found:
            self.memos[worker] = (request, found)

    def refusal(self, job_id: str, worker: str, token: int, verb: str) -> str | None:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status == "running" and job.token == token:
            return None if job.owner == worker else "OWNERSHIP_MISMATCH"
        return "REPEATED" if job.ended == f"{token}:{verb}:{worker}" else "LEASE_LOST"

    def heartbeat(self, job_id: str, worker: str, token: int, lease_ms: int) -> str:
        if word := self.refusal(job_id, worker, token, "heartbeat"):
            return word
        job = self.jobs[job_id]
        if self._out_of_time(job):
            return "LEASE_LOST"
        job.lease, job.lease_ms = UNKNOWN, lease_ms
        return "OK"

    def complete(self, job_id: str, worker: str, token: int) -> str:
        if word := self.refusal(job_id, worker, token, "complete"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "complete")
        if job.cancel_asked:
            job.history.append("job.cancel.too_late")
        self._finish(job, "succeeded")
        return "OK"

    def fail(self, job_id: str, worker: str, token: int, *, retryable: bool, timeout: bool, wait: int) -> str:
        if word := self.refusal(job_id, worker, token, "fail"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "fail")
        if job.cancel_asked and (retryable or timeout):
            self._cancelled(job)
        elif not retryable:
            self._finish(job, "failed")
        else:
            self._failed_attempt(job, wait)
        return "OK"

    def release(self, job_id: str, worker: str, token: int, *, most: int, wait: int) -> str:
        if word := self.refusal(job_id, worker, token, "release"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "release")
        job.releases += 1
        if job.cancel_asked:
            self._cancelled(job)
        elif job.releases > most:
            self._failed_attempt(job, wait)
        else:
            job.status, job.owner, job.started = "queued", None, None
            job.history.append("job.released")
            self._join(job, "+r")
        return "OK"

    def acknowledge(self, job_id: str, worker: str, token: int) -> str:
        if word := self.refusal(job_id, worker, token, "cancel"):
            return word
        job = self.jobs[job_id]
        if not job.cancel_asked:
            return "STATE_CONFLICT running"
        self._end_attempt(job, "cancel")
        self._cancelled(job)
        return "OK"

    def cancel(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status == "cancelled":
            return "UNCHANGED"
        if job.status in TERMINAL:
            return f"STATE_CONFLICT {job.status}"
        asked_before, job.cancel_asked = job.cancel_asked, True
        if not asked_before:
            job.history.append("job.cancel.requested")
        if job.status == "running" and not self.stale(job):
            return "UNCHANGED" if asked_before else "REQUESTED"
        if job.status == "running":
            self._end_attempt(job, "cancel")
        elif job.due is None:
            self._leave_lane(job)
        self._cancelled(job)
        return "CANCELLED"

    def expire(self, limit: int, *, wait: int) -> int | None:
        if self.paused:
            return None
        over = [job for job in self.jobs.values() if job.status == "running" and self.stale(job)]
        over.sort(key=lambda job: (job.lease, job.id))
        for job in over[:limit]:
            job.history.append("job.lease_expired")
            self._end_attempt(job, "expire")
            if job.cancel_asked:
                self._cancelled(job)
            elif self._out_of_time(job):
                self._finish(job, "failed")
            else:
                self._failed_attempt(job, wait)
        return len(over[:limit])

    def redrive(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.redriven and job.status in ("queued", "running"):
            return "UNCHANGED"
        if job.status != "dead_letter":
            return f"STATE_CONFLICT {job.status}"
        if job.condemned:
            return "CONDEMNED"
        job.status, job.attempt, job.releases, job.owner, job.started = "queued", 1, 0, None, None
        job.redriven = True
        job.history.append("job.redriven")
        job.since = UNKNOWN
        self._join(job, "+w")
        return "OK"

    def condemn(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status != "dead_letter":
            return f"STATE_CONFLICT {job.status}"
        job.condemned = True
        return "OK"

    def remove(self, job_id: str, believed: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status != believed or believed not in TERMINAL:
            return f"STATE_CONFLICT {job.status}"
        del self.jobs[job_id]
        self.removed.append(job_id)
        return "OK"

    def stale(self, job: ModelJob) -> bool:
        return job.lease is not None and job.lease <= self.clock

    def place(self, job: ModelJob) -> str | None:
        """The lane's class in which a job waits."""
        return next((kind for (lane, kind), ids in self.lanes.items() if job.id in ids), None)

    def heads(self, policy: Policy) -> dict[str, tuple[int, int]]:
        """The first of each lane that the policy may read and that no limit holds back, with its order."""
        found = {}
        for (_, kind), ids in self.lanes.items():
            job = self.jobs[ids[0]]
            if _admits(policy, job.lane) and self.has_room(job.lane):
                found[job.id] = (-job.lane.priority, job.created if kind == "+r" else job.since)
        return found

    def has_room(self, lane: Lane) -> bool:
        """Whether the limits of type, repository and affinity key let one more job of the lane run (Q-18)."""
        running = [job.lane for job in self.jobs.values() if job.status == "running"]
        repository = lane.repository
        each = self.repositories.get("*", 1000)
        return (
            sum(other.type == lane.type for other in running) < self.types.get(lane.type, 1000)
            and (
                not repository
                or sum(other.repository == repository for other in running)
                < self.repositories.get(repository, each)
            )
            and (not lane.affinity_key or all(other.affinity_key != lane.affinity_key for other in running))
        )

    def _runs(self, job_id: str, token: int, worker: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and (job.status, job.token, job.owner) == ("running", token, worker)

    def _out_of_time(self, job: ModelJob) -> bool:
        return bool(job.max_run_ms and job.started is not None and self.clock >= job.started + job.max_run_ms)

    def _join(self, job: ModelJob, kind: str) -> None:
        self.lanes.setdefault((job.lane.text, kind), []).append(job.id)

    def _leave_lane(self, job: ModelJob) -> None:
        for name, ids in list(self.lanes.items()):
            if job.id in ids:
                ids.remove(job.id)
                if not ids:
                    del self.lanes[name]

    def _end_attempt(self, job: ModelJob, verb: str) -> None:
        job.ended, job.lease = f"{job.token}:{verb}:{job.owner}", None

    def _finish(self, job: ModelJob, status: str) -> None:
        job.status = status
        job.history.append({"dead_letter": "job.dead_lettered"}.get(status, f"job.{status}"))

    def _cancelled(self, job: ModelJob) -> None:
        self._finish(job, "cancelled")
        job.owner, job.due = None, None

    def _failed_attempt(self, job: ModelJob, wait: int) -> None:
        if job.attempt >= job.max_attempts:
            self._finish(job, "dead_letter")
            return
        job.status, job.owner, job.started = "queued", None, None
        job.attempt += 1
        job.history.append("job.retry_scheduled")
        if wait:
            job.due, job.wait = UNKNOWN, wait
        else:
            self._join(job, "+r")


def _admits(policy: Policy, lane: Lane) -> bool:
    return (
        _allows(policy.types, lane.type)
        and _allows(policy.repositories, lane.repository)
        and set(lane.capabilities) <= set(policy.capabilities)
    )


def _allows(listed: Iterable[str] | None, value: str | None) -> bool:
    return listed is None or value in listed
