"""A random walk through the life of jobs: each call is made in the store and in the model, then compared.

Two workers and two operators make calls of one to three jobs, with what they know: the right token or a wrong
one, the pause as it was some time ago. A call may be held up on its way, so that it is executed after others
that were made later, and any call may come a second time, as it does when a reply was lost.

Time is real, since leases, scores and event ids all hang on the store's own clock: a faked one would test
scripts that nobody runs. Waits are 1 ms or an hour, and each step ends once the short ones have passed, so
that the store and the model never disagree about what is over.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uuid_utils
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sluicegate import keys
from sluicegate.limits import Limits
from sluicegate.model import TERMINAL, Policy
from sluicegate.store import limits, repair
from sluicegate.store.connection import Store
from tests.random_walk import calls, comparison, promises
from tests.random_walk.calls import Call, Holder
from tests.random_walk.draws import (
    FOR_A_WHILE,
    NARROW,
    PAUSES,
    POLICIES,
    SETTINGS,
    SHORT_MS,
    Newcomer,
    Pick,
    Setting,
    Word,
    asked,
    attempts,
    held_picks,
    holders,
    kinds,
    late,
    newcomers,
    operators,
    picks,
    several,
    waits,
    words,
    workers,
)
from tests.random_walk.judging import judge
from tests.random_walk.model import Backoff, Model, Request
from tests.random_walk.pauses import RUNNING, Pause
from tests.random_walk.snapshots import digest, narrow_ends
from tests.random_walk.wishes import Asked
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms, past

ENDED: Final = sorted(TERMINAL)
MOST_CONTROLS: Final = 6
MOST_ALIVE: Final = 5
KEPT: Final = 12
"""So many calls may come again."""


class Walk(RuleBasedStateMachine):
    """Subclasses give the store and a runner for its loop."""

    store: Store
    runner: asyncio.Runner
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.builder = JobBuilder(self.store)
        self.requests = itertools.count(1)
        self.taken = 0
        self.made: list[Call] = []
        self.opened: dict[tuple[str, int], str] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.seen_versions: dict[str, int] = {}

    @initialize(new=st.lists(newcomers, min_size=2, max_size=6), setting=st.sampled_from(SETTINGS))
    def begin(self, new: list[Newcomer], setting: Setting) -> None:
        self.runner.run(self._begin())
        self._change_limits(setting)
        self.enqueue(new, late=False)

    async def _begin(self) -> None:
        await self.store.command("FLUSHDB")
        await self.store.initialise()

    @precondition(lambda self: sum(job.status not in ENDED for job in self.model.jobs.values()) < MOST_ALIVE)
    @rule(new=st.lists(newcomers, min_size=1, max_size=3), late=late)
    def enqueue(self, new: list[Newcomer], late: bool) -> None:
        submissions = []
        for body, delayed, key in new:
            unique = key and f"ann:{key}"
            made = self.builder.submission(
                delay_ms=delayed, unique=unique, fingerprint=str(body).replace(" ", ""), **body
            )
            self.bodies[made.id] = body
            submissions.append(made)
        self._make(calls.enqueue(*submissions), late=late)

    @rule(worker=workers, limit=st.integers(1, 4))
    def claim_anything(self, worker: str, limit: int) -> None:
        self.claim(POLICIES[0], worker, limit, HOUR_MS, again=False, late=False)

    @rule(
        policy=st.sampled_from(POLICIES),
        worker=workers,
        limit=st.integers(1, 4),
        lease=st.sampled_from([SHORT_MS, HOUR_MS, HOUR_MS]),
        again=st.sampled_from([False, False, False, True]),
        late=late,
    )
    def claim(self, policy: Policy, worker: str, limit: int, lease: int, again: bool, late: bool) -> None:
        last, _ = self.model.memos.get(worker, ("", ()))
        request = last if again and last else f"r{next(self.requests)}"
        call = calls.claim(policy, worker, limit=limit, lease_ms=lease, request=request)
        self._make(call, late=late, woken_by=None if request == last else policy)

    @precondition(lambda self: self._any("running"))
    @rule(word=words, picked=attempts, who=holders, late=late)
    def say(self, word: Word, picked: list[Pick], who: str, late: bool) -> None:
        """A worker, of its attempts."""
        self._make(word.of(self._holder(picked, who)), late=late)

    @precondition(lambda self: self._any("queued", "running", *ENDED))
    @rule(by=operators, at=st.lists(picks, min_size=1, max_size=2), late=late)
    def cancel(self, by: Request, at: list[int], late: bool) -> None:
        self._make(calls.cancel(by, *map(self._pick, at)), late=late)

    @precondition(lambda self: self._any("running"))
    @rule(by=operators, at=held_picks, word=st.one_of(st.none(), words), wait=waits)
    def cancel_and_end(self, by: Request, at: int, word: Word | None, wait: Backoff) -> None:
        """An end right after a request: single steps meet too seldom. word: None for the sweeper's."""
        self.cancel(by, [at], late=False)
        self._end(0, word, wait)

    @precondition(lambda self: self._any("running") and not self.model.pause.paused)
    @rule(at=held_picks, word=st.sampled_from([None, Word("release"), Word("fail")]), by=workers)
    def come_back(self, at: int, word: Word | None, by: str) -> None:
        """A job whose attempt ended is opened anew: what is left over from the first has somebody to hurt."""
        self._end(at, word, calls.NO_WAIT)
        self.claim_anything(by, 4)

    @precondition(lambda self: self._any("queued", "running"))
    @rule(at=held_picks, asked=asked, late=late)
    def control(self, at: int, asked: Asked, late: bool) -> None:
        self._make(calls.control(self._pick(at), asked, most=MOST_CONTROLS), late=late)

    @precondition(lambda self: any(job.wishes.control is not None for job in self.model.jobs.values()))
    @rule(
        at=held_picks,
        kind=kinds,
        what=st.sampled_from(["recovery", "recovery", "summary"]),
        old=st.booleans(),
        outcome=st.sampled_from(["ack", "rejected"]),
        late=late,
    )
    def answer_control(self, at: int, kind: str, what: str, old: bool, outcome: str, late: bool) -> None:
        """old: it answers what is wanted no more."""
        held = self._holder([(at, kind)], "")
        job = self.model.jobs.get(held.attempts[0][0])
        request = "" if old or job is None else getattr(job.wishes, f"{what}_id") or ""
        self._make(calls.answer_control(held, what, request or "0-1", outcome), late=late)

    @rule(limit=st.integers(1, 3), wait=waits, late=late)
    def sweep(self, limit: int, wait: Backoff, late: bool) -> None:
        """Whatever is over."""
        if self.model.pause.paused or any(map(self.model.stale, self.model.jobs.values())):
            self._make(calls.expire(limit, wait), late=late)
        if self.model.pause.paused or any(job.due is not None for job in self.model.jobs.values()):
            self._make(calls.promote(limit), late=late)
        if self.model.pause.paused or self.model.narrow.pauses:
            self._make(calls.end_pauses(), late=late)
            self._make(calls.bring_back(), late=late)

    @rule(
        by=operators,
        asked=st.sampled_from(PAUSES),
        force=st.booleans(),
        expecting=st.sampled_from([False, False, True]),
        looks=st.booleans(),
        late=late,
    )
    def change_pause(
        self, by: Request, asked: Pause, force: bool, expecting: bool, looks: bool, late: bool
    ) -> None:
        """expecting: the version that the operator saw last, which may be old. looks: at the outcome."""
        expected = self.seen_versions.get(by.by, 0) if expecting else -1
        self._make(calls.change_pause(asked, by=by.by, force=force, expected=expected), late=late)
        if looks:
            self.seen_versions[by.by] = self.model.pause.version

    @rule(
        by=operators,
        name=st.sampled_from(NARROW),
        asked=st.sampled_from(PAUSES[6:]),
        expecting=st.sampled_from([-1, -1, 0]),
        late=late,
    )
    def pause_some(self, by: Request, name: str, asked: Pause, expecting: int, late: bool) -> None:
        self._make(calls.change_narrow(name, asked, by=by.by, expected=expecting), late=late)

    @precondition(lambda self: self.model.narrow.pauses)
    @rule(by=operators, at=picks, looks=st.booleans(), late=late)
    def lift(self, by: Request, at: int, looks: bool, late: bool) -> None:
        """One that is in force, or was. looks: before the call."""
        name, pause = list(self.model.narrow.pauses.items())[at % len(self.model.narrow.pauses)]
        expected = pause.version if looks else -1
        self._make(calls.change_narrow(name, RUNNING, by=by.by, expected=expected), late=late)

    @precondition(lambda self: self._any("queued") and not self.model.pause.paused)
    @rule(by=operators, at=held_picks, which=picks, worker=workers, lifted=st.booleans())
    def wait_for_a_while(self, by: Request, at: int, which: int, worker: str, lifted: bool) -> None:
        """A job whose pause begins and ends right before a claim: single steps meet too seldom."""
        queued = [job.lane for job in self.model.jobs.values() if job.status == "queued"]
        lane = queued[at % len(queued)]
        names = [f"type={lane.type}", *(f"capability={each}" for each in lane.capabilities)]
        names += [f"repository={lane.repository}"] if lane.repository else []
        name = names[which % len(names)]
        self.pause_some(by, name, FOR_A_WHILE, -1, late=False)
        self.claim_anything(worker, 4)
        if lifted:
            self._make(calls.change_narrow(name, RUNNING, by=by.by))

    @precondition(lambda self: self.model.pause.until or any(self._ending()))
    @rule(at=picks)
    def pause_time_comes(self, at: int) -> None:
        """The time that a pause names is far away, until it is brought here."""
        ending = [*self._ending(), ""] if self.model.pause.until else self._ending()
        name = ending[at % len(ending)]
        clock = self.model.clock

        async def step() -> None:
            if name:
                await self.store.command(*narrow_ends(name, clock))
                self.model.narrow = self.model.narrow.ending_at(name, clock)
            else:
                await self.store.command("HSET", keys.PAUSE, "until", clock)
                self.model.pause = self.model.pause._replace(until=clock)

        self._step(step)

    def _ending(self) -> list[str]:
        """The narrower pauses that name a time."""
        return [name for name, pause in self.model.narrow.pauses.items() if pause.until]

    @precondition(lambda self: self._any("dead_letter"))
    @rule(by=operators, at=several, purge=st.booleans(), late=late)
    def judge_dead_letters(self, by: Request, at: list[int], purge: bool, late: bool) -> None:
        chosen = [self._pick(each, "dead_letter") for each in at]
        self._make((calls.condemn if purge else calls.redrive)(by, *chosen), late=late)

    @precondition(lambda self: self._any(*ENDED))
    @rule(
        at=several,
        first=st.sampled_from(["queued", *ENDED]),
        believed=st.sampled_from(["", "", "queued"]),
        late=late,
    )
    def remove(self, at: list[int], first: str, believed: str, late: bool) -> None:
        beliefs = []
        for each in at:
            job_id = self._pick(each, first)
            known = self.model.jobs.get(job_id)
            beliefs.append((job_id, believed or (known.status if known else "succeeded")))
        self._make(calls.remove(self.model.clock + HOUR_MS, *beliefs), late=late)

    @precondition(lambda self: self.made)
    @rule(at=st.integers(0, KEPT - 1))
    def comes_late_or_again(self, at: int) -> None:
        """A call that was made before: held up until now, or repeated since its reply was lost."""
        self._make(self.made[-1 - at % len(self.made)])

    @rule(
        what=st.one_of(st.sampled_from(["forget policies", "enqueue again"]), st.sampled_from(SETTINGS)),
        at=picks,
    )
    def keep_house(self, what: str | Setting, at: int) -> None:
        """What is done now and then, and should harm nobody."""
        if what == "forget policies":
            self._make(Call("forget_policies", (), {"idle_ms": 0}))
            self._step(self._nothing_differs)
        elif what == "enqueue again":
            self._enqueue_again(self._pick(at), another_body=bool(at % 2))
        elif not isinstance(what, str):
            self._change_limits(what)

    async def _nothing_differs(self) -> None:
        assert await repair.reconcile(self.store) == []

    def _enqueue_again(self, job_id: str, *, another_body: bool) -> None:
        """The same id, for the same or another job; of a removed one it is free again."""
        body = dict(self.bodies.get(job_id, {"type": "a"}))
        if another_body:
            body["payload"] = {"another": True}
        self._make(calls.enqueue(self.builder.submission(id=job_id, **body)))

    def _change_limits(self, setting: Setting) -> None:
        """In each state: those that wait and those that run are under the new limits at once (Q-18)."""
        self.model.types, self.model.repositories = setting
        numbers = {f"type={name}": most for name, most in setting[0].items()}
        numbers |= {f"repo={name}": most for name, most in setting[1].items()}

        async def step() -> None:
            await self.store.run("set_limits", text=Limits(numbers).text, by="walk")
            await limits.apply(self.store)

        self._step(step)

    def _end(self, at: int, word: Word | None, wait: Backoff) -> None:
        """A running attempt, by its worker's word or by the sweeper."""
        if word is not None:
            self.say(word, [(at, "held")], "", late=False)
        else:
            self.say(Word("heartbeat", lease_ms=SHORT_MS), [(at, "held")], "", late=False)
            self.sweep(3, wait, late=False)

    def _make(self, call: Call, *, late: bool = False, woken_by: Policy | None = None) -> None:
        """late: it is under way for a while; woken_by: whose bell the claiming worker has heard."""
        if call not in self.made:
            self.made = [*self.made, call][-KEPT:]
        if not late:
            self._step(lambda: self._send(call, woken_by))

    async def _send(self, call: Call, woken_by: Policy | None) -> None:
        if woken_by:
            await self.store.command("LPOP", keys.bell(woken_by.id))
            if woken_by.id not in self.model.policies:
                await self._send(calls.register(woken_by), None)
        before, digest_before = self.model.copy(), await digest(self.store)
        reply = await call.send(self.store)
        judge(self.model, call, reply)
        promises.kept(before, call, self.model)
        if call.script == "claim":
            _, found = self.model.memos.get(call.args["worker"], ("", ()))
            self.opened |= dict.fromkeys(found, call.args["worker"])
        # A claim that found nothing may have set lanes aside, which limits hold back.
        if self.model == before and (call.script != "claim" or self.model.pause.paused):
            assert await digest(self.store) == digest_before, f"{call} wrote something"

    def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        type(self).steps += 1
        self.taken += 1
        self.runner.run(self._whole(step))

    async def _whole(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do the step, learn the times that the store set, wait for the short ones, compare everything."""
        before = await now_ms(self.store)
        await step()
        seen = await comparison.see(self.store, self.model.jobs, before)
        comparison.learn(self.model, seen)
        comparison.agree(self.model, seen)
        await past(self.store, comparison.horizon(self.model, seen.after))
        self.model.clock = await now_ms(self.store)
        await comparison.counts_agree(self.store, self.model)
        await comparison.nobody_sleeps(self.store, self.model, set(POLICIES))

    @precondition(lambda self: self.taken % 4 == 0)
    @invariant()
    def nothing_contradicts_itself(self) -> None:
        """What doctor looks at: most of a step's time, so not after each one."""
        self.runner.run(self._examine())

    def teardown(self) -> None:
        self.runner.run(self._examine())

    async def _examine(self) -> None:
        await comparison.sound(self.store)

    def _any(self, *statuses: str) -> bool:
        return any(job.status in statuses for job in self.model.jobs.values())

    def _pick(self, at: int, first: str = "running") -> str:
        """A job: those of one status first, then the living, the ended, removed ones, one that never was.

        Those with a cancel request before their equals, since what comes after one is rare otherwise.
        """
        known = sorted(
            self.model.jobs.values(),
            key=lambda job: (job.status != first, job.status in ENDED, not job.cancel),
        )
        ids = [job.id for job in known] + list(self.model.removed)
        return ids[at % len(ids)] if ids else str(uuid_utils.uuid7())

    def _holder(self, picked: list[Pick], who: str) -> Holder:
        """Attempts of one worker: mostly the one that holds or held the first job."""
        holder, held = who, []
        for at, kind in picked:
            job_id, token, worker = self._attempt(at, kind)
            holder = holder or worker
            held.append((job_id, token))
        return Holder(holder or "w1", held)

    def _attempt(self, at: int, kind: str) -> tuple[str, int, str]:
        """job, token and worker"""
        if kind == "old" and (ended := self._zombies()):
            job_id, token = ended[at % len(ended)]
            return job_id, token, self.opened[job_id, token]
        job_id = self._pick(at)
        job = self.model.jobs.get(job_id)
        if job is None:
            return job_id, 1, ""
        worker = job.owner or self.opened.get((job_id, job.token), "")
        return job_id, job.token + (kind == "next"), worker

    def _zombies(self) -> list[tuple[str, int]]:
        """Attempts that are over while their job goes on; first those whose job runs again."""
        jobs = self.model.jobs
        over = [each for each in self.opened if each[0] in jobs and each[1] < jobs[each[0]].token]
        return sorted(over, key=lambda each: jobs[each[0]].status != "running")
