"""What the walk draws: jobs, workers, operators, words and waits; the likelier ones more often."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from sluicegate.model import Policy
from tests.random_walk import calls
from tests.random_walk.calls import Call, Holder
from tests.random_walk.model import Backoff, Request
from tests.random_walk.pauses import RUNNING, Pause
from tests.random_walk.wishes import Asked
from tests.support.job_builder import HOUR_MS

POLICIES: Final = [
    *[Policy(capabilities=("gpu",))] * 4,
    Policy(),
    Policy(types=("a",)),
    Policy(types=("a", "b"), capabilities=("gpu",)),
    Policy(repositories=("host/r",)),
    Policy(types=()),
]
Setting = tuple[dict[str, int], dict[str, int]]
"""Of types and of repositories; an affinity key always means one."""
SETTINGS: Final[list[Setting]] = [
    ({}, {}),
    ({"a": 1}, {}),
    ({}, {"*": 1}),
    ({"a": 2, "b": 1}, {"host/r": 2, "*": 1}),
]
MOST_RELEASES: Final = 1
SHORT_MS: Final = 1
WAITS: Final = (calls.NO_WAIT, Backoff(SHORT_MS, 1, SHORT_MS), calls.AN_HOUR)
FOR_A_WHILE: Final = Pause(True, "drain", "two", until=calls.FAR_MS)
PAUSES: Final = [RUNNING] * 6 + [
    Pause(True, "drain", "one"),
    Pause(True, "quiesce", "one"),
    Pause(True, "drain", "two"),
    FOR_A_WHILE,
    Pause(True, "drain", "two", until=1),
]
NARROW: Final = ["type=a", "type=b", "repository=host/r", "capability=gpu", "worker=w1"]

Newcomer = tuple[dict[str, Any], int | None, str | None]
"""Body, delay in ms, idempotency key."""
Pick = tuple[int, str]
"""Which job, and with which token: `held` now, of an `old` attempt, or the `next` one."""


class Word(NamedTuple):
    """What a worker says of attempts, by the name of its script."""

    script: str
    lease_ms: int = HOUR_MS
    backoff: Backoff = calls.NO_WAIT
    retryable: bool = True
    failure_class: str = ""

    def of(self, held: Holder) -> Call:
        match self.script:
            case "heartbeat":
                return calls.heartbeat(held, self.lease_ms)
            case "complete":
                return calls.complete(held)
            case "fail":
                return calls.fail(
                    held, self.backoff, retryable=self.retryable, failure_class=self.failure_class
                )
            case "release":
                return calls.release(held, self.backoff, most=MOST_RELEASES)
        return calls.acknowledge(held)


workers = st.sampled_from(["w1", "w2"])
operators = st.sampled_from([Request("ann", "too dear"), Request("bob", None)])
holders = st.sampled_from([*[""] * 6, "w1", "w2"])
picks = st.integers(0, 11)
held_picks = st.integers(0, 3)
kinds = st.sampled_from([*["held"] * 5, *["old"] * 2, "next"])
attempts = st.lists(st.tuples(held_picks, kinds), min_size=1, max_size=3)
several = st.lists(held_picks, min_size=1, max_size=3)
waits = st.sampled_from(WAITS)
words = st.one_of(
    st.builds(Word, st.just("heartbeat"), lease_ms=st.sampled_from([SHORT_MS, HOUR_MS])),
    st.just(Word("complete")),
    st.builds(
        Word,
        st.just("fail"),
        backoff=waits,
        retryable=st.booleans(),
        failure_class=st.sampled_from(["", "flaky", "run_timeout"]),
    ),
    st.builds(Word, st.just("release"), backoff=waits),
    st.just(Word("cancel_ack")),
)
asked = st.one_of(
    st.builds(
        Asked,
        st.sampled_from(["pause", "takeover", "resume"]),
        st.sampled_from(["ann", "bob"]),
        hard=st.booleans(),
        reason=st.sampled_from(["", "why"]),
    ),
    st.builds(
        Asked, st.just("resume"), st.just("ann"), summary=st.sampled_from(['{"text":"a"}', '{"text":"b"}'])
    ),
    st.builds(
        Asked,
        st.just("retry_step"),
        st.just("bob"),
        recovery=st.sampled_from(['{"stepId":"a"}', '{"stepId":"b"}']),
    ),
)
late = st.sampled_from([False] * 7 + [True])
bodies = st.fixed_dictionaries(
    {
        "type": st.sampled_from("ab"),
        "priority": st.sampled_from([0, 0, 0, 0, 5, -3]),
        "repository": st.sampled_from([None, None, "host/r", "host/s"]),
        "affinity_key": st.sampled_from([None, None, None, "k", "l"]),
        "capabilities": st.sampled_from([(), (), (), ("gpu",)]),
        "max_attempts": st.sampled_from([1, 1, 2, 3]),
        "max_run_ms": st.sampled_from([None, None, None, SHORT_MS]),
    }
)
newcomers = st.tuples(
    bodies, st.sampled_from([None, None, SHORT_MS, HOUR_MS]), st.sampled_from([None, None, "k1", "k2"])
)
