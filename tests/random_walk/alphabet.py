"""Every call that anybody might make in a state: any worker or operator, whatever they know or only believe.

Time is one of the callers: a lease runs out, a backoff ends, a time limit is reached whenever it likes. It
moves a deadline into the past, which is all that a script can see of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.store.jobs import Submission
from tests.random_walk import calls
from tests.random_walk.calls import Call, Holder
from tests.random_walk.judging import ANSWERS, asked_by
from tests.random_walk.model import Backoff, Model, ModelJob, Request
from tests.random_walk.pauses import Pause
from tests.random_walk.snapshots import Command, command, narrow_ends
from tests.random_walk.wishes import Asked
from tests.support.job_builder import HOUR_MS

ANYTHING: Final = Policy()
ANN: Final = Request("ann", "too dear")
DRAIN: Final = Pause(True, "drain", "upgrade")
QUIESCE: Final = Pause(True, "quiesce", "upgrade", until=calls.FAR_MS)
LEASE_ENDS, BACKOFF_ENDS, TIME_IS_UP, PAUSE_ENDS = "lease ends", "backoff ends", "time is up", "pause ends"
TIME: Final = frozenset({LEASE_ENDS, BACKOFF_ENDS, TIME_IS_UP, PAUSE_ENDS})


class Size(NamedTuple):
    """What is explored.

    alike: the jobs differ in nothing but their names, nor do the workers; the first of each begins.
    narrow: what is paused on its own.
    most: how often a script may take effect on a path; those that it does not name, as often as they like.
    examined: doctor looks at one of so many states: that takes longer than everything else.
    """

    jobs: tuple[Submission, ...]
    workers: tuple[str, ...] = ("w1", "w2")
    alike: bool = False
    most_releases: int = 1
    backoffs: tuple[Backoff, ...] = (calls.NO_WAIT, calls.AN_HOUR)
    limits: tuple[int, ...] = (1,)
    pauses: tuple[Pause, ...] = (DRAIN, QUIESCE)
    narrow: tuple[str, ...] = ()
    controls: tuple[Asked, ...] = ()
    most: Mapping[str, int] = MappingProxyType({})
    examined: int = 1


def alphabet(size: Size, model: Model, number: int) -> Iterator[Call]:
    """number: new for each state, so that a claim's request is new."""
    new = [each for each in size.jobs if each.id not in model.jobs]
    for submission in new[:1] if size.alike else new:
        yield calls.enqueue(submission)
    begun = bool(model.memos) or not size.alike
    for at, worker in enumerate(size.workers if begun else size.workers[:1]):
        for limit in size.limits:
            yield calls.claim(ANYTHING, worker, limit=limit, request=f"r{number}-{at}-{limit}")
        if worker in model.memos:
            yield calls.claim(ANYTHING, worker, request=model.memos[worker][0])
    for job in model.jobs.values():
        yield from _of_a_job(size, job, model.clock + HOUR_MS)
        yield from _time(model, job)
    if len(model.jobs) > 1:
        yield from _of_all(size, model)
    for backoff in size.backoffs:
        yield calls.expire(1, backoff)
    yield calls.promote(1)
    for asked in (*size.pauses, Pause()):
        yield calls.change_pause(asked, by="ann")
        yield calls.change_pause(asked, by="bob", expected=model.pause.version - 1)
    yield calls.change_pause(Pause(), by="bob", force=True, expected=model.pause.version)
    yield calls.end_pauses()
    if model.pause.until > model.clock:
        yield Call(PAUSE_ENDS)
    if size.narrow:
        yield from _of_narrow_pauses(size, model)


def _of_narrow_pauses(size: Size, model: Model) -> Iterator[Call]:
    for name in size.narrow:
        now = model.narrow.pauses.get(name, Pause())
        for asked in (*size.pauses, Pause()):
            yield calls.change_narrow(name, asked, by="ann")
            yield calls.change_narrow(name, asked, by="bob", expected=now.version - 1)
        if now.until > model.clock:
            yield Call(PAUSE_ENDS, ((name,),))
    yield calls.bring_back()


def _of_a_job(size: Size, job: ModelJob, before_ms: int) -> Iterator[Call]:
    for asked in size.controls:
        yield calls.control(job.id, asked)
    yield calls.cancel(ANN, job.id)
    yield calls.redrive(ANN, job.id)
    yield calls.condemn(ANN, job.id)
    yield calls.remove(before_ms, (job.id, job.status))
    for worker in size.workers:
        for token in (job.token - 1, job.token, job.token + 1):
            if token > 0:
                held = Holder(worker, ((job.id, token),))
                yield from _of_an_attempt(size, held)
                if size.controls:
                    yield calls.answer_control(held, "recovery", "0-1")
                    yield calls.answer_control(held, "recovery", job.wishes.recovery_id or "0-2")


def _of_an_attempt(size: Size, held: Holder) -> Iterator[Call]:
    yield calls.heartbeat(held)
    yield calls.complete(held)
    yield calls.acknowledge(held)
    yield calls.fail(held, retryable=False)
    yield calls.fail(held, retryable=False, failure_class="run_timeout")
    for backoff in size.backoffs:
        yield calls.fail(held, backoff)
        yield calls.release(held, backoff, most=size.most_releases)


def _of_all(size: Size, model: Model) -> Iterator[Call]:
    """The calls of an operator who acts on a selection, and of a worker that ends all that it holds."""
    yield calls.cancel(ANN, *model.jobs)
    yield calls.redrive(ANN, *model.jobs)
    for worker in size.workers:
        held = Holder(worker, tuple((job.id, max(job.token, 1)) for job in model.jobs.values()))
        yield calls.complete(held)
        yield calls.release(held, most=size.most_releases)


def _time(model: Model, job: ModelJob) -> Iterator[Call]:
    if job.lease is not None and job.lease > model.clock:
        yield Call(LEASE_ENDS, ((job.id,),))
    if job.due is not None and job.due > model.clock:
        yield Call(BACKOFF_ENDS, ((job.id,),))
    if job.status == "running" and job.max_run_ms and (job.started or 0) + job.max_run_ms > model.clock:
        yield Call(TIME_IS_UP, ((job.id,),))


def commands(call: Call, model: Model, clock: int) -> list[Command]:
    """What does the call in the store. A worker that claims anew was woken: it has taken its bell's token."""
    if call.script in TIME:
        return _passage(call, model, clock)
    if call.script == "claim" and model.repeated(call.args["worker"], call.args["request"]) is None:
        return [("LPOP", keys.bell(call.args["policy"])), command(call)]
    return [command(call)]


def pass_time(call: Call, model: Model, clock: int) -> None:
    """The same in the model."""
    if call.script == PAUSE_ENDS and call.items:
        model.narrow = model.narrow.ending_at(call.items[0][0], clock)
    elif call.script == PAUSE_ENDS:
        model.pause = model.pause._replace(until=clock)
    elif call.script == LEASE_ENDS:
        _job(call, model).lease = clock
    elif call.script == BACKOFF_ENDS:
        _job(call, model).due = clock
    else:
        job = _job(call, model)
        job.started = clock - (job.max_run_ms or 0)


def without_effect(model: Model, call: Call) -> bool:
    """Whether the model expects that the store will not change; False also where it cannot know that."""
    args, after = call.args, model.copy()
    match call.script:
        case "heartbeat":
            worker = args["worker"]
            return all(model.refusal(job_id, worker, token, "heartbeat") for job_id, token, _ in call.items)
        case "answer_control":
            return bool(model.refusal(args["id"], args["worker"], args["token"], "answer"))
        case "claim":
            return model.repeated(args["worker"], args["request"]) is not None
        case "pause":
            force, expected = bool(args["force"]), args["expected_version"]
            return after.change_pause(asked_by(call), force=force, expected=expected) != "OK"
        case "pause_some":
            expected = args["expected_version"]
            return after.change_narrow(args["name"], asked_by(call), expected=expected) != "OK"
        case "end_pauses":
            return not after.end_pause() and not model.narrow.due(model.clock)
    if call.script not in ANSWERS:
        return False
    ANSWERS[call.script](after, call)
    return after == model


def _passage(call: Call, model: Model, clock: int) -> list[Command]:
    if call.script == PAUSE_ENDS and call.items:
        return [narrow_ends(call.items[0][0], clock)]
    if call.script == PAUSE_ENDS:
        return [("HSET", keys.PAUSE, "until", clock)]
    job = _job(call, model)
    if call.script == LEASE_ENDS:
        return [("ZADD", keys.LEASES, "XX", clock, job.id)]
    if call.script == BACKOFF_ENDS:
        due = ("HSET", keys.job(job.id), "next_attempt_at", clock)
        return [due, ("ZADD", keys.DELAYED, "XX", clock, job.id)]
    return [("HSET", keys.job(job.id), "started_at", clock - (job.max_run_ms or 0))]


def _job(call: Call, model: Model) -> ModelJob:
    return model.jobs[call.items[0][0]]
