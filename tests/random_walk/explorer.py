"""Every interleaving of the calls of one alphabet: breadth first through the states of model and store.

From each state every call is made once, in the real store put back to that state. What it answers, what it
writes, and that it writes nothing when it refuses, is held to the model; it leads to a state whose `shape` is
known, or to a new one. Whatever calls any number of callers make one after another, they are a path through
this graph: once it is closed, all of them were tried, however long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sluicegate.model import TERMINAL
from sluicegate.store.connection import Store
from tests.random_walk import alphabet, calls, comparison, promises, shape
from tests.random_walk.alphabet import ANYTHING, TIME, Size
from tests.random_walk.calls import Call
from tests.random_walk.judging import judge
from tests.random_walk.model import Model
from tests.random_walk.snapshots import DIGEST, LOOK, Line, Snapshot
from tests.support.wait import until_sync


class Disagreement(AssertionError):
    """The store and the model differ, or a promise is broken; with the calls that lead there."""


class State(NamedTuple):
    """left: how often each counted script may still take effect. before, by: the shortest way to it."""

    number: int
    model: Model
    snapshot: Snapshot
    left: Mapping[str, int]
    before: State | None
    by: Call | None

    @property
    def way(self) -> list[Call]:
        return [] if self.before is None or self.by is None else [*self.before.way, self.by]


class Explorer:
    """calls: all that were made. refused: those of them that changed nothing, and were to change nothing."""

    def __init__(self, store: Store, line: Line, runner: asyncio.Runner) -> None:
        self.store, self.line, self.runner = store, line, runner
        self.states: list[State] = []
        self.edges: list[set[int]] = []
        self.calls = self.refused = 0
        self._known: dict[Any, int] = {}
        self._clock = 0

    def explore(self, size: Size) -> None:
        """Begin with an empty store, go on until no state is new. Once per explorer. Raises Disagreement."""
        self.size = size
        self.runner.run(self._lay_out())
        model = Model()
        call = calls.register(ANYTHING)
        (reply, look) = self.line.ask([*alphabet.commands(call, model, 0), LOOK])
        judge(model, call, reply[1:])
        self._reach(model, Snapshot.of(look), self.size.most, None, None)
        begin = 0
        while begin < len(self.states):
            level = self.states[begin:]
            begin = len(self.states)
            self._next_ms()
            for state in level:
                self._examine(state)
                self._leave(state)

    def ways(self, length: int) -> int:
        """How many sequences of so many calls that change something there are."""
        reached = [1] + [0] * (len(self.states) - 1)
        for _ in range(length):
            after = [0] * len(reached)
            for number, times in enumerate(reached):
                if times:
                    for other in self.edges[number]:
                        after[other] += times
            reached = after
        return sum(reached)

    def stuck(self) -> list[State]:
        """States from which nothing that anybody does ends every job."""
        back: list[set[int]] = [set() for _ in self.states]
        for number, targets in enumerate(self.edges):
            for target in targets:
                back[target].add(number)
        ended = [state.number for state in self.states if _all_ended(state.model)]
        good = set(ended)
        while ended:
            new = back[ended.pop()] - good
            good |= new
            ended += new
        return [state for state in self.states if state.number not in good]

    async def _lay_out(self) -> None:
        await self.store.command("FLUSHDB")
        await self.store.initialise()

    def _next_ms(self) -> None:
        """Steps of one path lie in different milliseconds, so that no order rests on the luck of a tie."""

        def look() -> int:
            ((seconds, micros),) = self.line.ask([("TIME",)])
            return int(seconds) * 1000 + int(micros) // 1000

        past = max(self._clock, self.states[-1].snapshot.taken)
        self._clock = until_sync(lambda: (now := look()) > past and now, f"the clock passes {past}")

    def _examine(self, state: State) -> None:
        """Hold a state to somebody being awake, and now and then to the invariants that doctor checks."""
        state.model.clock = self._clock
        with _blaming(state):
            woken = f"bell:{ANYTHING.id}" in state.snapshot.contents
            assert woken or not comparison.claimable(state.model, ANYTHING), "nobody wakes"
        if state.number % self.size.examined == 0:
            self.line.ask([state.snapshot.restored])
            with _blaming(state):
                self.runner.run(self._invariants(state.model))

    async def _invariants(self, model: Model) -> None:
        await comparison.sound(self.store)
        await comparison.counts_agree(self.store, model)

    def _leave(self, state: State) -> None:
        """Make every call of the alphabet: first those that are to change nothing, one after another."""
        possible = [
            call
            for call in alphabet.alphabet(self.size, state.model, state.number)
            if state.left.get(call.script, 1) > 0
        ]
        self.calls += len(possible)
        idle = [call for call in possible if alphabet.without_effect(state.model, call)]
        rest = [call for call in possible if call not in idle]
        commands = [state.snapshot.restored, DIGEST]
        for call in idle:
            commands += alphabet.commands(call, state.model, self._clock)
        commands.append(DIGEST)
        for call in rest:
            commands += [state.snapshot.restored, *alphabet.commands(call, state.model, self._clock), LOOK]
        replies = iter(self.line.ask(commands)[1:])
        self._refuse(state, idle, replies)
        for call in rest:
            with _blaming(state, call):
                self._change(state, call, replies)

    def _refuse(self, state: State, idle: list[Call], replies: Iterator[Any]) -> None:
        """Calls that the model refuses, between two digests."""
        self.refused += len(idle)
        digest = next(replies)
        for call in idle:
            with _blaming(state, call):
                judge(state.model.copy(), call, _answer(next(replies)))
        if next(replies) != digest:
            for call in idle:
                with _blaming(state, call):
                    self._refuse_one(state, call)

    def _refuse_one(self, state: State, call: Call) -> None:
        commands = alphabet.commands(call, state.model, self._clock)
        _, before, *_, after = self.line.ask([state.snapshot.restored, DIGEST, *commands, DIGEST])
        assert before == after, "it was refused, and wrote something"

    def _change(self, state: State, call: Call, replies: Iterator[Any]) -> None:
        model = state.model.copy()
        before = next(replies)
        sent = len(alphabet.commands(call, model, self._clock))
        reply = [next(replies) for _ in range(sent)][-1]
        after = Snapshot.of(next(replies))
        if call.script in TIME:
            alphabet.pass_time(call, model, self._clock)
        else:
            judge(model, call, _answer(reply))
        promises.kept(state.model, call, model)
        seen = after.seen(model.jobs, before)
        comparison.learn(model, seen)
        comparison.agree(model, seen)
        if model == state.model:
            self.refused += 1
            # The bell is what woke the claiming worker; that its policy lives is noted every 20 s.
            may = {f"bell:{ANYTHING.id}"}
            if call.script == "claim" and not _paused(model, call):
                # It may have set lanes aside, too.
                may |= {"policies:used", "parked", f"parked:{ANYTHING.id}", f"ready:{ANYTHING.id}"}
            written = state.snapshot.differences(after) - may
            assert not written, f"it answered no, and wrote {written}"
        left = dict(state.left)
        if call.script in left and model != state.model:
            left[call.script] -= 1
        self.edges[state.number].add(self._reach(model, after, left, state, call))

    def _reach(
        self, model: Model, snapshot: Snapshot, left: Mapping[str, int], before: State | None, by: Call | None
    ) -> int:
        """The number of the state; a new one when none has its shape."""
        model.removed = ()
        model.clock = self._clock
        name = (shape.of_model(model), shape.of_store(snapshot.contents), tuple(left.values()))
        number = self._known.setdefault(name, len(self.states))
        if number == len(self.states):
            self.states.append(State(number, model, snapshot, left, before, by))
            self.edges.append(set())
        return number


def _paused(model: Model, claim: Call) -> bool:
    return model.pause.paused or model.narrow.of_worker(claim.args["worker"]) is not None


def _answer(reply: Any) -> list[Any]:
    """As Store.run gives it."""
    assert isinstance(reply, list), f"the store refused: {reply!r}"
    return reply[1:] if reply[0] == "OK" else reply


def _all_ended(model: Model) -> bool:
    return all(job.status in TERMINAL for job in model.jobs.values())


@contextmanager
def _blaming(state: State, *calls: Call) -> Iterator[None]:
    """Say with an error how to come to it."""
    try:
        yield
    except AssertionError as error:
        steps = "\n".join(f"{at:3}. {step}" for at, step in enumerate([*state.way, *calls], 1))
        raise Disagreement(f"{error}\nafter\n{steps}") from error
