"""What no call may do, in the words of DESIGN 7: said of before and after, not of how the model does it.

The store's state equals the model's (`comparison`), so what holds of the model holds of the store. A mistake
that the scripts and the model shared would still have to get past this.
"""

from __future__ import annotations

from typing import Final

from sluicegate.model import TERMINAL
from tests.random_walk.calls import Call
from tests.random_walk.model import Model, ModelJob

CHANGES: Final[dict[str, set[tuple[str | None, str | None]]]] = {
    "enqueue": {(None, "queued")},
    "claim": {("queued", "running")},
    "complete": {("running", "succeeded")},
    "fail": {("running", each) for each in ("queued", "failed", "dead_letter", "cancelled")},
    "release": {("running", each) for each in ("queued", "dead_letter", "cancelled")},
    "cancel_ack": {("running", "cancelled")},
    "cancel": {("queued", "cancelled"), ("running", "cancelled")},
    "expire_leases": {("running", each) for each in ("queued", "failed", "dead_letter", "cancelled")},
    "redrive": {("dead_letter", "queued")},
    "retention": {(ended, None) for ended in TERMINAL},
}
"""Which script may take a job from which status to which (spec 00, 3); those not listed, none."""
SPENT: Final = frozenset({"fail", "release", "expire_leases"})
NARROW: Final = frozenset({"pause_some", "end_pauses", "bring_back"})
TOKENS: Final = frozenset({"heartbeat", "complete", "fail", "release", "cancel_ack"})


def kept(before: Model, call: Call, after: Model) -> None:
    """AssertionError when the step broke a promise."""
    if before.pause.paused and call.script in ("claim", "expire_leases", "promote_due"):
        assert after == before, f"{call.script} wrote while paused (invariant 5, P-4)"
    grown = after.pause.version - before.pause.version
    assert grown >= 0, "versions only grow (invariant 8)"
    if call.script in ("pause", "end_pauses"):
        assert grown == (after.pause != before.pause), "each change has a version of its own (P-2)"
    else:
        assert after.pause[:4] == before.pause[:4]
    _of_narrow_pauses(before, call, after)
    for job_id in before.jobs.keys() | after.jobs.keys():
        old, new = before.jobs.get(job_id), after.jobs.get(job_id)
        statuses = (old.status if old else None, new.status if new else None)
        if statuses[0] != statuses[1]:
            assert statuses in CHANGES.get(call.script, ()), f"{call.script} took {job_id} {statuses}"
        if old and new:
            _of_a_job(old, call, new)
            if new.token != old.token:
                mine = _pauses_of(old, call.args["worker"])
                held = [
                    name for name in mine & before.narrow.pauses.keys() if before.narrow.pauses[name].paused
                ]
                assert not held, f"{job_id} was opened while {held} were paused (P-12)"


def _of_narrow_pauses(before: Model, call: Call, after: Model) -> None:
    """Each change has a version of its own; what no operator and no time changes stays (P-12)."""
    assert after.narrow.version >= before.narrow.version
    for name in before.narrow.pauses.keys() | after.narrow.pauses.keys():
        old, new = before.narrow.pauses.get(name), after.narrow.pauses.get(name)
        if (old and old[:4]) != (new and new[:4]):
            assert call.script in NARROW, f"{call.script} changed the pause of {name}"
            assert (call.script == "bring_back") == (after.narrow.version == before.narrow.version)
            assert call.script != "bring_back" or (old and not old.paused), f"{name} was lifted by nobody"


def _pauses_of(job: ModelJob, worker: str) -> set[str]:
    """Those that no attempt of the job by the worker may get past."""
    return {
        f"type={job.lane.type}",
        f"repository={job.lane.repository}",
        *(f"capability={each}" for each in job.lane.capabilities),
        f"worker={worker}",
    }


def _of_a_job(old: ModelJob, call: Call, new: ModelJob) -> None:
    opened = new.token - old.token
    assert opened in ((0, 1) if call.script == "claim" else (0,)), "a claim opens one attempt (invariant 4)"
    assert new.history[: len(old.history)] == old.history, "a history only grows (invariant 7)"
    if old.cancel:
        assert not opened and new.status != "queued", "a cancel request is the end of attempts (invariant 6)"
        assert new.cancel == old.cancel, "the first request stays (C-2)"
    if old.status in TERMINAL and call.script not in ("redrive", "condemn"):
        assert new == old, f"{call.script} changed an ended job (invariant 3)"
    if call.script in TOKENS and new != old:
        named = [token for job_id, token, *_ in call.items if job_id == old.id]
        assert old.status == "running" and old.token in named and old.owner == call.args["worker"], (
            f"{call.script} of a stranger or with an old token wrote (invariant 4)"
        )
    if call.script != "redrive":
        assert new.attempt - old.attempt in ((0, 1) if call.script in SPENT else (0,)), "attempts are counted"
    assert 1 <= new.attempt <= new.max_attempts
