"""Calls of the store's scripts as values: made now, sent now or later, once or again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote

from sluicegate.model import Policy
from sluicegate.store import jobs
from sluicegate.store.connection import Store
from sluicegate.store.scripts import Script
from tests.random_walk.model import ALL, Attempts, Backoff, Request
from tests.random_walk.pauses import Pause
from tests.random_walk.wishes import Asked
from tests.support.job_builder import HOUR_MS

UNSAID: Final = frozenset(
    {"policy", "factor", "cap_ms", "jitter", "max_queued", "max_lanes", "idempotency_ms"}
)


@dataclass(frozen=True)
class Call:
    """One run of a script with its arguments fixed."""

    script: str
    items: tuple[tuple[Any, ...], ...] = ()
    args: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, script: Script, argv: Sequence[Any]) -> Self:
        """The call that the store was about to send."""
        fixed, width = len(script.args), len(script.each)
        args = dict(zip((slot.name for slot in script.args), argv, strict=False))
        starts = range(fixed, len(argv), width or 1)
        return cls(script.name, tuple(tuple(argv[at : at + width]) for at in starts), args)

    def __str__(self) -> str:
        """Short: the spec of a job, and what every call has, say nothing."""
        shown = [f"{name}={value}" for name, value in self.args.items() if name not in UNSAID]
        return f"{self.script} {self.items or ''} {' '.join(shown)}"

    async def send(self, store: Store) -> list[Any]:
        return await store.run(self.script, self.items, **self.args)


class Holder(NamedTuple):
    """A worker, and attempts that it believes to hold."""

    worker: str
    attempts: Attempts


NO_WAIT: Final = Backoff(0, 1, 0)
FAR_MS: Final = 4_000_000_000_000
"""A time that none of these tests will see."""
AN_HOUR: Final = Backoff(HOUR_MS, 1, HOUR_MS)


def enqueue(*submissions: jobs.Submission) -> Call:
    items = tuple(jobs._item(each) for each in submissions)
    return Call("enqueue", items, {"max_queued": 1000, "max_lanes": 1000, "idempotency_ms": HOUR_MS})


def register(policy: Policy) -> Call:
    return Call("register_policy", (), {"policy": policy.id, "text": policy.text, "cursor": "0"})


def claim(policy: Policy, worker: str, *, limit: int = 1, lease_ms: int = HOUR_MS, request: str) -> Call:
    args = {"worker": worker, "policy": policy.id, "lease_ms": lease_ms, "limit": limit, "request": request}
    return Call("claim", (), args)


def heartbeat(who: Holder, lease_ms: int = HOUR_MS) -> Call:
    items = tuple((*attempt, lease_ms) for attempt in who.attempts)
    return Call("heartbeat", items, {"worker": who.worker})


def complete(who: Holder) -> Call:
    items = tuple((*attempt, "done") for attempt in who.attempts)
    return Call("complete", items, {"worker": who.worker})


def fail(who: Holder, backoff: Backoff = NO_WAIT, *, retryable: bool = True, failure_class: str = "") -> Call:
    items = tuple((*each, "broken", failure_class, int(retryable), 0.5) for each in who.attempts)
    return Call("fail", items, {"worker": who.worker, **_waits(backoff)})


def release(who: Holder, backoff: Backoff = NO_WAIT, *, most: int) -> Call:
    items = tuple((*attempt, "", 0.5) for attempt in who.attempts)
    return Call("release", items, {"worker": who.worker, "max_releases": most, **_waits(backoff)})


def acknowledge(who: Holder) -> Call:
    items = tuple((*attempt, "", "") for attempt in who.attempts)
    return Call("cancel_ack", items, {"worker": who.worker})


def cancel(request: Request, *job_ids: str) -> Call:
    return _of_operator("cancel", request, job_ids)


def redrive(request: Request, *job_ids: str) -> Call:
    return _of_operator("redrive", request, job_ids)


def condemn(request: Request, *job_ids: str) -> Call:
    return _of_operator("condemn", request, job_ids)


def remove(before_ms: int, *beliefs: tuple[str, str]) -> Call:
    """beliefs: jobs, each with the status that it was seen in."""
    return Call("retention", beliefs, {"before_ms": before_ms})


def control(job_id: str, asked: Asked, *, most: int = ALL) -> Call:
    args = {"id": job_id, "actor": asked.by, "action": asked.action, "hard": int(asked.hard)}
    args |= {"reason": asked.reason, "summary": asked.summary, "recovery": asked.recovery}
    return Call("control", (), {**args, "metadata": "{}", "most": most})


def answer_control(who: Holder, what: str, request: str, outcome: str = "ack") -> Call:
    """who: with one attempt."""
    ((job_id, token),) = who.attempts
    args = {"worker": who.worker, "id": job_id, "token": token, "what": what, "request": request}
    return Call("answer_control", (), {**args, "outcome": outcome, "message": ""})


def expire(limit: int, backoff: Backoff = NO_WAIT) -> Call:
    return Call("expire_leases", ((0.5,),) * limit, _waits(backoff))


def promote(limit: int) -> Call:
    return Call("promote_due", (), {"limit": limit})


def end_pauses() -> Call:
    return Call("end_pauses")


def change_pause(asked: Pause, *, by: str, force: bool = False, expected: int = -1) -> Call:
    """asked: as it is to be. expected: the version that the operator saw; -1 for any."""
    args = {"action": "pause" if asked.paused else "resume", "actor": by, "force": int(force)}
    args |= {"mode": asked.mode or "", "reason": asked.reason or "", "until_ms": asked.until}
    args |= {"expected_version": expected}
    return Call("pause", (), args)


def change_narrow(name: str, asked: Pause, *, by: str, expected: int = -1) -> Call:
    """name: `<scope>=<value>`, of signs that need no encoding. expected: 0 for none in force."""
    args = {"name": name, "value": name.partition("=")[2], "action": "pause" if asked.paused else "resume"}
    args |= {"actor": by, "mode": asked.mode or "", "reason": asked.reason or "", "until_ms": asked.until}
    return Call("pause_some", (), {**args, "expected_version": expected})


def bring_back() -> Call:
    return Call("bring_back")


def policy_of(text: str) -> Policy:
    """The policy that a worker registered by this text."""
    types, repositories, capabilities = map(_listed, text.split("|"))
    return Policy(types, repositories, capabilities or ())


def _listed(part: str) -> tuple[str, ...] | None:
    return None if part == "*" else tuple(unquote(each) for each in part.split(",") if each)


def _of_operator(script: str, request: Request, job_ids: Sequence[str]) -> Call:
    args = {"actor": request.by, "reason": request.reason or ""}
    return Call(script, tuple((job_id,) for job_id in job_ids), args)


def _waits(backoff: Backoff) -> dict[str, Any]:
    return {**backoff._asdict(), "jitter": 0}
