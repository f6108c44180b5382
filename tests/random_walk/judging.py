"""What each call must have answered: the same call in the model, compared word by word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sluicegate.model import TERMINAL, Lane
from sluicegate.store.rendering import fields
from tests.random_walk.calls import Call, policy_of
from tests.random_walk.model import Backoff, Model, ModelJob, Request
from tests.random_walk.pauses import Pause
from tests.random_walk.wishes import IDS, UNKNOWN_ID, Asked

Reply = list[Any]
"""What Store.run returns."""


def judge(model: Model, call: Call, reply: Reply) -> None:
    """Do the call in the model. AssertionError when the model would have answered otherwise."""
    if (answer := ANSWERS.get(call.script)) is not None:
        expected = answer(model, call)
        assert reply == expected, f"{call.script} answered {reply}, expected {expected}"
    else:
        CHECKS[call.script](model, call, reply)


def time_of(call: Call, reply: Reply) -> int:
    """The store's time when it executed the call, in ms; 0 when the answer does not say."""
    at = {"claim": 1, "heartbeat": 1, "enqueue": 1}.get(call.script)
    return int(reply[at]) if at and _word(reply) == "OK" else 0


def _enqueue(model: Model, call: Call, reply: Reply) -> None:
    words = []
    for job_id, lane, spec, delay_ms, due_ms, most, run_ms, unique, fingerprint, _ in call.items:
        assert due_ms < 0, "the model knows no times of the calendar"
        job = ModelJob(job_id, Lane.parse(lane), spec, most, run_ms or None)
        words.append(model.accept(job, key=unique, fingerprint=fingerprint, delay_ms=delay_ms))
    assert reply[0] == words, f"enqueue answered {reply[0]}, expected {words}"


def _register(model: Model, call: Call, reply: Reply) -> None:
    assert reply == ["0"], "no test has so many lanes that a policy is registered in slices"
    model.policies[call.args["policy"]] = policy_of(call.args["text"])


def _claim(model: Model, call: Call, reply: Reply) -> None:
    """In the order of its checks, a promise too: a repeat is answered even while paused (Q-16, P-4)."""
    args = call.args
    still = model.repeated(args["worker"], args["request"])
    of_worker = model.narrow.of_worker(args["worker"])
    if still is None and model.pause.paused:
        expected = "PAUSED"
    elif still is None and of_worker:
        expected = "WORKER_PAUSED"
    elif still is None and args["policy"] not in model.policies:
        expected = "UNKNOWN_POLICY"
    else:
        expected = "OK"
    assert _word(reply) == expected, f"claim answered {reply}, expected {expected}"
    if expected == "PAUSED":
        assert pause_of(reply[1]) == model.pause
    elif expected == "WORKER_PAUSED" and of_worker:
        assert (pause_of(reply[1]), reply[2]) == (model.pause, of_worker)
        assert narrow_of(reply[3]) == model.narrow.pauses[of_worker]
    elif expected == "OK":
        record, now, _, opened, unseen = reply
        found = [(job_id, int(token)) for job_id, _, token, _ in opened]
        assert pause_of(record) == model.pause
        assert not unseen
        if still is None:
            model.claim(**args, found=found, now=int(now))
            assert all(int(expires) == int(now) + args["lease_ms"] for *_, expires in opened)
        else:
            assert found == still, f"the repeated request found {found}, of which {still} still run"


def _heartbeat(model: Model, call: Call, reply: Reply) -> None:
    """It carries the pause and what operators want, so whoever misses every push learns it all the same."""
    record, now, answers, version, records = reply
    assert pause_of(record) == model.pause
    assert (int(version), narrows_of(records)) == (model.narrow.version, model.narrow.pauses)
    for (job_id, token, lease_ms), (word, *told) in zip(call.items, answers, strict=True):
        expected = model.heartbeat(job_id, call.args["worker"], token, int(now) + lease_ms)
        assert word == expected, f"heartbeat answered {word}, expected {expected}"
        if word == "OK":
            expires, cancel_at, by, reason, controls, _live = told
            job = model.jobs[job_id]
            assert int(expires) == int(now) + lease_ms
            assert bool(cancel_at) == bool(by)
            assert (Request(by, reason or None) if by else None) == job.cancel
            _told_of(job, controls)


def _pause(model: Model, call: Call, reply: Reply) -> None:
    before, args = model.pause, call.args
    word = model.change_pause(asked_by(call), force=bool(args["force"]), expected=args["expected_version"])
    assert _word(reply) == word, f"pause answered {reply}, expected {word}"
    if word != "UNTIL_PASSED":
        assert pause_of(reply[0] if word == "OK" else reply[1]) == model.pause
    assert word == "OK" or model.pause == before


def _pause_some(model: Model, call: Call, reply: Reply) -> None:
    name = call.args["name"]
    word = model.change_narrow(name, asked_by(call), expected=call.args["expected_version"])
    kept = model.narrow.pauses.get(name, Pause(version=model.narrow.version))
    if word == "OK":
        assert reply[0] == "DONE", f"pause_some answered {reply}, expected {word}"
        assert narrow_of(reply[1]) == kept
    else:
        version = [str(kept.version if kept.paused else 0)] if word == "VERSION_CONFLICT" else []
        assert reply == [word, *version], f"pause_some answered {reply}, expected {word} {version}"


def asked_by(call: Call) -> Pause:
    """The pause, of all workers or a narrower one, as the call wants it."""
    args = call.args
    pausing = args["action"] == "pause"
    by = args["actor"] if pausing else None
    return Pause(
        pausing, args["mode"] or None, (args["reason"] or None) if pausing else None, by, args["until_ms"]
    )


def _control(model: Model, call: Call, reply: Reply) -> None:
    args = call.args
    asked = Asked(
        args["action"], args["actor"], bool(args["hard"]), args["reason"], args["summary"], args["recovery"]
    )
    word = model.control(args["id"], asked, most=args["most"])
    assert reply == [word], f"control answered {reply}, expected {word}"


def _answer_control(model: Model, call: Call, reply: Reply) -> None:
    args = call.args
    what, request, outcome = args["what"], args["request"], args["outcome"]
    word = model.answer_control(
        args["id"], args["worker"], args["token"], what=what, request=request, outcome=outcome
    )
    assert reply[0] == word, f"answer_control answered {reply}, expected {word}"
    if word in ("DONE", "OTHER"):
        _told_of(model.jobs[args["id"]], reply[1])


def _told_of(job: ModelJob, controls: list[str]) -> None:
    """A worker hears of all that is wanted of its run."""
    told, expected = fields(controls), job.wishes.told
    told.pop("control_at", None)
    for name in IDS:
        if expected.get(name) == UNKNOWN_ID:
            expected[name] = told[name]
    assert told == expected, f"{job.id}: told {told}, expected {expected}"


def _end_pauses(model: Model, _: Call, reply: Reply) -> None:
    resumed, lifted = reply
    if model.end_pause():
        assert pause_of(resumed) == model.pause
    else:
        assert resumed == []
    records = fields(lifted)
    assert records.keys() == model.narrow.due(model.clock)
    model.narrow = model.narrow.end(records)
    for name, record in records.items():
        ended = narrow_of(record)
        assert not ended.paused
        assert ended == model.narrow.pauses.get(name, ended)


def pause_of(flat: list[str]) -> Pause:
    """The pause record that a reply carries."""
    stored = fields(flat)
    mode, reason, by = (stored.get(name) for name in ("mode", "reason", "by"))
    until, version = int(stored.get("until", 0)), int(stored["version"])
    return Pause(stored["paused"] == "1", mode, reason or None, by, until, version)


def narrow_of(record: str) -> Pause:
    """A narrower pause from its record."""
    head, _, who, why = record.split("\n", 3)
    mode, version, _, _, until = head.split()
    if mode == "lifted":
        return Pause(version=int(version))
    return Pause(True, mode, why or None, who, int(until), int(version))


def narrows_of(flat: Sequence[str]) -> dict[str, Pause]:
    """By name, from the records as they are stored."""
    return {name: narrow_of(record) for name, record in fields(flat).items()}


def _word(reply: Reply) -> str:
    """Of a script that answers OK and values, or another word and values."""
    return reply[0] if isinstance(reply[0], str) else "OK"


def _retention(model: Model, call: Call, reply: Reply) -> None:
    """A repeat that comes late names a time before the end of whoever has the removed job's id by now: that
    one stays. The model knows no times, so it looks whether one of that id was removed before."""
    for (job_id, believed), word in zip(call.items, reply[0], strict=True):
        if believed in TERMINAL and word == f"STATE_CONFLICT {believed}":
            assert job_id in model.removed, f"retention left {job_id}, which is the first of its id"
            assert model.jobs[job_id].status == believed
        else:
            expected = model.remove(job_id, believed)
            assert word == expected, f"retention answered {word}, expected {expected}"


def _each(answer: Callable[[Model, Call, tuple[Any, ...]], str]) -> Callable[[Model, Call], Reply]:
    return lambda model, call: [[answer(model, call, item) for item in call.items]]


def _held(model: Model, call: Call, item: tuple[Any, ...]) -> tuple[str, str, int]:
    job_id, token, *_ = item
    return job_id, call.args["worker"], token


def _backoff(call: Call) -> Backoff:
    assert call.args["jitter"] == 0
    return Backoff(call.args["base_ms"], call.args["factor"], call.args["cap_ms"])


def _request(call: Call) -> Request:
    return Request(call.args["actor"], call.args["reason"] or None)


def _forget_policies(model: Model, call: Call) -> Reply:
    assert call.args["idle_ms"] == 0
    if model.pause.paused:
        return ["PAUSED"]
    forgotten, model.policies = len(model.policies), {}
    return [forgotten]


def _taken(taken: int | None) -> Reply:
    return ["PAUSED"] if taken is None else [taken]


CHECKS: Final[dict[str, Callable[[Model, Call, Reply], None]]] = {
    "enqueue": _enqueue,
    "register_policy": _register,
    "claim": _claim,
    "heartbeat": _heartbeat,
    "control": _control,
    "answer_control": _answer_control,
    "pause": _pause,
    "pause_some": _pause_some,
    "end_pauses": _end_pauses,
    "retention": _retention,
}
ANSWERS: Final[dict[str, Callable[[Model, Call], Reply]]] = {
    "complete": _each(lambda model, call, item: model.complete(*_held(model, call, item))),
    "fail": _each(
        lambda model, call, item: model.fail(
            *_held(model, call, item),
            retryable=bool(item[4]),
            failure_class=item[3],
            backoff=_backoff(call),
        )
    ),
    "release": _each(
        lambda model, call, item: model.release(
            *_held(model, call, item), most=call.args["max_releases"], backoff=_backoff(call)
        )
    ),
    "cancel_ack": _each(lambda model, call, item: model.acknowledge(*_held(model, call, item))),
    "cancel": _each(lambda model, call, item: model.cancel(item[0], _request(call))),
    "redrive": _each(lambda model, _, item: model.redrive(item[0])),
    "condemn": _each(lambda model, _, item: model.condemn(item[0])),
    "expire_leases": lambda model, call: _taken(model.expire(len(call.items), backoff=_backoff(call))),
    "forget_policies": _forget_policies,
    "bring_back": lambda model, _: [model.bring_back()],
    "promote_due": lambda model, call: _taken(model.promote(call.args["limit"])),
}
