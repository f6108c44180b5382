"""What every change under a lease token has to refuse: each transition takes its share of the list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import uuid_utils

from sluicegate.model import Policy
from sluicegate.store import sweeping
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.job_builder import JobBuilder, Made
from tests.support.wait import until

ENDED_BY = {
    "succeeded": "complete",
    "failed": "fail",
    "dead_letter": "fail",
    "cancelled": "cancel",
    "returned": "release",
}


class Case(NamedTuple):
    """A before-state, the attempt that the caller claims to hold, and the word that refuses it."""

    name: str
    before: Callable[[JobBuilder], Awaitable[Made]]
    word: str

    def __str__(self) -> str:
        return self.name


def cases(verb: str) -> list[Case]:
    """Every case in which a call with this verb is refused; a repeated one is not among them."""
    found = [
        Case("no such job", _no_such_job, "JOB_NOT_FOUND"),
        Case("another worker", _another_worker, "OWNERSHIP_MISMATCH"),
        Case("a token of the future", _future_token, "LEASE_LOST"),
        Case("a token that was requeued", _requeued_token, "LEASE_LOST"),
        Case("a token that was requeued and claimed again", _reclaimed_token, "LEASE_LOST"),
        Case("ended by another worker with this token", _ended_elsewhere(verb), "LEASE_LOST"),
        Case("waiting", _in_state("waiting", 1), "LEASE_LOST"),
        Case("delayed", _in_state("delayed", 1), "LEASE_LOST"),
    ]
    found += [Case(state, _in_state(state), "LEASE_LOST") for state, by in ENDED_BY.items() if by != verb]
    return found


async def refuses(store: Store, call: Callable[[], Awaitable[list[Any]]], word: str) -> None:
    """The call answers with this word for its one item, and the store holds what it held."""
    before = await contents(store)
    assert await call() == [[word]]
    assert await contents(store) == before


async def _no_such_job(builder: JobBuilder) -> Made:
    await builder.running()
    return Made(str(uuid_utils.uuid7()), 1)


async def _another_worker(builder: JobBuilder) -> Made:
    return (await builder.running())._replace(worker="worker-2")


async def _future_token(builder: JobBuilder) -> Made:
    made = await builder.running()
    return made._replace(token=made.token + 1)


async def _requeued_token(builder: JobBuilder) -> Made:
    made = await builder.stale()
    assert await sweeping.expire_leases(builder.store) == 1
    return made


async def _reclaimed_token(builder: JobBuilder) -> Made:
    made = await _requeued_token(builder)
    await until(lambda: builder.claim(Policy(types=("work",))), "the backoff is over")
    return made


def _ended_elsewhere(verb: str) -> Callable[[JobBuilder], Awaitable[Made]]:
    """Whoever repeats somebody else's word is not answered as if it were their own."""
    state = next((state for state, by in ENDED_BY.items() if by == verb), "succeeded")

    async def before(builder: JobBuilder) -> Made:
        return (await builder.made(state))._replace(worker="worker-2")

    return before


def _in_state(state: str, token: int | None = None) -> Callable[[JobBuilder], Awaitable[Made]]:
    async def before(builder: JobBuilder) -> Made:
        made = await builder.made(state)
        return made if token is None else made._replace(token=token)

    return before
