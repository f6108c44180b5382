"""What the queue promises, in plain Python. Each call is judged here by what the store answered.

Times are the store's: replies carry them, or whoever drives the model reads them back (`comparison.learn`) or
lets it assume them (`settle_times`). A deadline is over or an hour away, so that model and store agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from sluicegate.model import TERMINAL, Lane, Policy
from tests.random_walk.pauses import NONE, RUNNING, Narrow, Pause
from tests.random_walk.wishes import NO_WISHES, Asked, Wishes

Attempts = Sequence[tuple[str, int]]
"""Job and token."""
UNKNOWN: Final = -1
"""A time that the store has set and nobody has read yet."""
ALL: Final = 1000
"""More jobs than any test has."""


class Backoff(NamedTuple):
    """As the scripts take it, without jitter."""

    base_ms: float
    factor: float
    cap_ms: float

    def wait(self, attempt: int) -> int:
        return int(min(self.base_ms * self.factor ** (attempt - 1), self.cap_ms))


class Request(NamedTuple):
    """A cancel request: the first one stays (C-2)."""

    by: str
    reason: str | None


@dataclass
class ModelJob:
    id: str
    lane: Lane
    spec: bytes
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
    cancel: Request | None = None
    wishes: Wishes = NO_WISHES
    controls: tuple[tuple[str, str], ...] = ()
    ended: str | None = None
    due: int | None = None
    wait: int = 0
    since: int = UNKNOWN
    redriven: bool = False
    condemned: bool = False
    history: tuple[str, ...] = ()

    def copy(self) -> ModelJob:
        other = object.__new__(ModelJob)
        other.__dict__.update(self.__dict__)
        return other


@dataclass
class Model:
    clock: int = 0
    pause: Pause = RUNNING
    narrow: Narrow = NONE
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    lanes: dict[tuple[Lane, str], tuple[str, ...]] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    memos: dict[str, tuple[str, Attempts]] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    repositories: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Self:
        """Everything that a call may change is the copy's own."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.jobs = {job_id: job.copy() for job_id, job in self.jobs.items()}
        for name in ("lanes", "keys", "memos", "policies"):
            setattr(other, name, dict(getattr(self, name)))
        return other

    def accept(self, job: ModelJob, *, key: str, fingerprint: str, delay_ms: int) -> str:
        """delay_ms: -1 for none. The word of enqueue."""
        if key in self.keys:
            known, first = self.keys[key]
            return f"{'EXISTS' if known == fingerprint else 'CONFLICT'} {first}"
        if stored := self.jobs.get(job.id):
            return f"{'EXISTS' if stored.spec == job.spec else 'CONFLICT'} {job.id}"
        self.jobs[job.id] = job
        if key:
            self.keys[key] = (fingerprint, job.id)
        if delay_ms > 0:
            job.due, job.wait = UNKNOWN, delay_ms
        else:
            self._join(job, "+w")
        return "CREATED"

    def promote(self, limit: int) -> int | None:
        if self.pause.paused:
            return None
        over = [job for job in self.jobs.values() if job.due is not None and job.due <= self.clock]
        over.sort(key=lambda job: (job.due, job.id))
        for job in over[:limit]:
            job.since = job.due or 0
            job.due = None
            self._join(job, "+r" if job.token else "+s")
        return len(over[:limit])

    def repeated(self, worker: str, request: str) -> Attempts | None:
        """What a repeated claim answers: those of its attempts that still run. None: the claim is new."""
        last, opened = self.memos.get(worker, ("", ()))
        return [each for each in opened if self._runs(*each, worker)] if request == last else None

    def claim(
        self, policy: str, worker: str, limit: int, lease_ms: int, request: str, found: Attempts, now: int
    ) -> None:
        """Open the attempts that a claim returned: each has to be the next one, and none may be left.

        But for what a pause that was lifted may still hide.
        """
        readable = self.policies[policy]
        self.promote(50)
        for job_id, token in found:
            heads = self.heads(readable, hidden=True)
            assert job_id in heads, f"{job_id} is not at the head of a lane that {readable} may read"
            order, best = heads[job_id], min(self.heads(readable).values(), default=heads[job_id])
            assert order <= best, f"{job_id} at {order} was claimed before {best}"
            job = self.jobs[job_id]
            assert token == job.token + 1, f"{job_id} was claimed with {token} after {job.token}"
            self._leave_lane(job)
            job.token = token
            job.status, job.owner, job.started, job.lease = "running", worker, now, now + lease_ms
            job.history += ("job.claimed",)
        assert len(found) == limit or not self.heads(readable), "work was left behind"
        if found:
            self.memos[worker] = (request, tuple(found))

    def refusal(self, job_id: str, worker: str, token: int, verb: str) -> str | None:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status == "running" and job.token == token:
            return None if job.owner == worker else "OWNERSHIP_MISMATCH"
        return "REPEATED" if job.ended == f"{token}:{verb}:{worker}" else "LEASE_LOST"

    def heartbeat(self, job_id: str, worker: str, token: int, expires: int) -> str:
        if word := self.refusal(job_id, worker, token, "heartbeat"):
            return word
        job = self.jobs[job_id]
        if self._out_of_time(job):
            return "LEASE_LOST"
        job.lease = expires
        return "OK"

    def complete(self, job_id: str, worker: str, token: int) -> str:
        if word := self.refusal(job_id, worker, token, "complete"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "complete")
        if job.cancel:
            job.history += ("job.cancel.too_late",)
        self._finish(job, "succeeded")
        return "OK"

    def fail(
        self, job_id: str, worker: str, token: int, *, retryable: bool, failure_class: str, backoff: Backoff
    ) -> str:
        if word := self.refusal(job_id, worker, token, "fail"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "fail")
        if job.cancel and (retryable or failure_class == "run_timeout"):
            self._cancelled(job)
        elif not retryable:
            self._finish(job, "failed")
        else:
            self._failed_attempt(job, backoff)
        return "OK"

    def release(self, job_id: str, worker: str, token: int, *, most: int, backoff: Backoff) -> str:
        if word := self.refusal(job_id, worker, token, "release"):
            return word
        job = self.jobs[job_id]
        self._end_attempt(job, "release")
        job.releases += 1
        if job.cancel:
            self._cancelled(job)
        elif job.releases > most:
            self._failed_attempt(job, backoff)
        else:
            job.status, job.owner, job.started = "queued", None, None
            job.history += ("job.released",)
            self._join(job, "+r")
        return "OK"

    def acknowledge(self, job_id: str, worker: str, token: int) -> str:
        if word := self.refusal(job_id, worker, token, "cancel"):
            return word
        job = self.jobs[job_id]
        if not job.cancel:
            return "STATE_CONFLICT running"
        self._end_attempt(job, "cancel")
        self._cancelled(job)
        return "OK"

    def cancel(self, job_id: str, request: Request) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status == "cancelled":
            return "UNCHANGED"
        if job.status in TERMINAL:
            return f"STATE_CONFLICT {job.status}"
        asked_before = job.cancel is not None
        if not asked_before:
            job.cancel = request
            job.history += ("job.cancel.requested",)
        if job.status == "running" and not self.stale(job):
            return "UNCHANGED" if asked_before else "REQUESTED"
        if job.status == "running":
            self._end_attempt(job, "cancel")
        elif job.due is None:
            self._leave_lane(job)
        self._cancelled(job)
        return "CANCELLED"

    def expire(self, limit: int, *, backoff: Backoff) -> int | None:
        if self.pause.paused:
            return None
        over = [job for job in self.jobs.values() if job.status == "running" and self.stale(job)]
        over.sort(key=lambda job: (job.lease, job.id))
        for job in over[:limit]:
            job.history += ("job.lease_expired",)
            self._end_attempt(job, "expire")
            if job.cancel:
                self._cancelled(job)
            elif self._out_of_time(job):
                self._finish(job, "failed")
            else:
                self._failed_attempt(job, backoff)
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
        job.redriven, job.wishes = True, NO_WISHES
        job.history += ("job.redriven",)
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
        self.removed += (job_id,)
        return "OK"

    def control(self, job_id: str, asked: Asked, *, most: int) -> str:
        """most: so many control events are kept of a run; a resume comes through all the same."""
        job = self.jobs.get(job_id)
        if job is None:
            return "JOB_NOT_FOUND"
        if job.status in TERMINAL or (asked.recovery and job.status == "queued"):
            return f"STATE_CONFLICT {job.status}"
        if job.cancel:
            return "CANCELLING"
        word, after = job.wishes.ask(asked)
        if word == "DONE" and asked.action != "resume" and len(job.controls) >= most:
            return "FULL"
        if word == "DONE":
            job.wishes = after
            job.controls += ((asked.by, asked.action),)
            job.history += (f"task.control.{'recovery.' if asked.recovery else ''}requested",)
        return word

    def answer_control(
        self, job_id: str, worker: str, token: int, *, what: str, request: str, outcome: str
    ) -> str:
        if word := self.refusal(job_id, worker, token, "answer"):
            return word
        job = self.jobs[job_id]
        word, job.wishes = job.wishes.answer(what, request)
        if word == "DONE" and what == "recovery":
            job.history += (f"task.control.recovery.{outcome}",)
        return word

    def change_pause(self, asked: Pause, *, force: bool, expected: int) -> str:
        """asked: as it is to be; its version does not matter. expected: -1 for any version."""
        if asked.paused and 0 < asked.until <= self.clock:
            return "UNTIL_PASSED"
        if expected not in (-1, self.pause.version):
            return "VERSION_CONFLICT"
        if asked.paused:
            if asked._replace(by=self.pause.by, version=self.pause.version) == self.pause:
                return "UNCHANGED"
        elif not self.pause.paused:
            return "UNCHANGED"
        elif not force and any(job.status == "running" for job in self.jobs.values()):
            return "NOT_DRAINED"
        self.pause = asked._replace(version=self.pause.version + 1)
        return "OK"

    def change_narrow(self, name: str, asked: Pause, *, expected: int) -> str:
        word, self.narrow = self.narrow.change(name, asked, expected=expected, clock=self.clock)
        return word

    def bring_back(self) -> str:
        word, self.narrow = self.narrow.bring_back()
        return word

    def end_pause(self) -> bool:
        """Whether the pause ended, since its time had come."""
        over = self.pause.paused and 0 < self.pause.until <= self.clock
        if over:
            self.pause = RUNNING._replace(version=self.pause.version + 1)
        return over

    def stale(self, job: ModelJob) -> bool:
        return job.lease is not None and job.lease <= self.clock

    def place(self, job: ModelJob) -> str | None:
        """The lane's class in which a job waits."""
        return next((kind for (_, kind), ids in self.lanes.items() if job.id in ids), None)

    def heads(self, policy: Policy, *, hidden: bool = False) -> dict[str, tuple[int, int]]:
        """The first of each lane that the policy may read and that nothing holds back, with its order.

        hidden: also of those that a claim may miss, since a pause was lifted and they are not given back yet.
        """
        found = {}
        for (lane, kind), ids in self.lanes.items():
            job = self.jobs[ids[0]]
            free = not self.narrow.holds(lane) and (hidden or not self.narrow.may_hide(lane))
            if free and admits(policy, lane) and self.has_room(lane):
                found[job.id] = (-lane.priority, job.created if kind == "+r" else job.since)
        return found

    def has_room(self, lane: Lane) -> bool:
        """Whether the limits of type, repository and affinity key let one more job of the lane run (Q-18)."""
        running = [job.lane for job in self.jobs.values() if job.status == "running"]
        repository = lane.repository
        each = self.repositories.get("*", ALL)
        return (
            sum(other.type == lane.type for other in running) < self.types.get(lane.type, ALL)
            and (
                not repository
                or sum(other.repository == repository for other in running)
                < self.repositories.get(repository, each)
            )
            and (not lane.affinity_key or all(other.affinity_key != lane.affinity_key for other in running))
        )

    def settle_times(self) -> None:
        """Assume the times that nobody reads back: each later than those before."""
        for job in self.jobs.values():
            if UNKNOWN in (job.created, job.since):
                self.clock += 1
                job.created = self.clock if job.created == UNKNOWN else job.created
                job.since = self.clock if job.since == UNKNOWN else job.since
            if job.due == UNKNOWN:
                job.due = self.clock + job.wait

    def _runs(self, job_id: str, token: int, worker: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and (job.status, job.token, job.owner) == ("running", token, worker)

    def _out_of_time(self, job: ModelJob) -> bool:
        return bool(job.max_run_ms and job.started is not None and self.clock >= job.started + job.max_run_ms)

    def _join(self, job: ModelJob, kind: str) -> None:
        self.lanes[job.lane, kind] = (*self.lanes.get((job.lane, kind), ()), job.id)

    def _leave_lane(self, job: ModelJob) -> None:
        kind = self.place(job)
        assert kind is not None
        left = tuple(each for each in self.lanes.pop((job.lane, kind)) if each != job.id)
        if left:
            self.lanes[job.lane, kind] = left

    def _end_attempt(self, job: ModelJob, verb: str) -> None:
        job.ended, job.lease = f"{job.token}:{verb}:{job.owner}", None

    def _finish(self, job: ModelJob, status: str) -> None:
        job.status = status
        job.history += ({"dead_letter": "job.dead_lettered"}.get(status, f"job.{status}"),)

    def _cancelled(self, job: ModelJob) -> None:
        self._finish(job, "cancelled")
        job.owner, job.due = None, None

    def _failed_attempt(self, job: ModelJob, backoff: Backoff) -> None:
        if job.attempt >= job.max_attempts:
            self._finish(job, "dead_letter")
            return
        wait = backoff.wait(job.attempt)
        job.status, job.owner, job.started = "queued", None, None
        job.attempt += 1
        job.history += ("job.retry_scheduled",)
        if wait > 0:
            job.due, job.wait = UNKNOWN, wait
        else:
            self._join(job, "+r")


def admits(policy: Policy, lane: Lane) -> bool:
    return (
        _allows(policy.types, lane.type)
        and _allows(policy.repositories, lane.repository)
        and set(lane.capabilities) <= set(policy.capabilities)
    )


def _allows(listed: Iterable[str] | None, value: str | None) -> bool:
    return listed is None or value in listed
