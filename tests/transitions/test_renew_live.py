"""renew_live: the worker of a live session is there, and learns what is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate import keys
from sluicegate.store import claims, live_sessions
from sluicegate.store.connection import Store
from tests.support import fences
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made, now_ms


async def silent(store: Store, builder: JobBuilder) -> Made:
    """A running job whose session's worker was not heard of for long."""
    made = await builder.running()
    await live_sessions.report(store, made.worker, made.job_id, made.token, "ready", provider="browser")
    await store.command("HSET", keys.job_live(made.job_id), "heard_at", "1")
    await store.command("ZADD", keys.LIVE, 1, made.job_id)
    return made


@pytest.mark.parametrize("by", ["renew_live", "heartbeat"])
async def test_it_is_heard(store: Store, builder: JobBuilder, by: str) -> None:
    """L-8: by a call of its own, or with the heartbeat of its lease."""
    made = await silent(store, builder)
    before = await contents(store)
    if by == "renew_live":
        known = await live_sessions.renew(store, made.worker, made.job_id, made.token)
        assert known is not None and known.session.status == "ready"
    else:
        await claims.renew(store, made.worker, [claims.Lease(made.job_id, made.token, 60_000)])
    after = await contents(store)
    wanted = {f"job:{made.job_id}:live", "live"}
    assert changed(before, after) - {"leases"} == wanted
    assert await live_sessions.end_due(store) == 0
    assert int(after["live"][made.job_id]) > await now_ms(store)


async def test_what_is_over_is_not_heard(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    assert await live_sessions.renew(store, made.worker, made.job_id, made.token) is None
    await live_sessions.report(store, made.worker, made.job_id, made.token, "ready", provider="browser")
    await live_sessions.revoke(store, made.job_id, actor="ann")
    before = await contents(store)
    known = await live_sessions.renew(store, made.worker, made.job_id, made.token)
    assert known is not None and known.session.status == "revoked"
    await claims.renew(store, made.worker, [claims.Lease(made.job_id, made.token, 60_000)])
    assert changed(before, await contents(store)) <= {"leases"}


@pytest.mark.parametrize("case", fences.cases("renew"), ids=str)
async def test_a_refusal_writes_nothing(store: Store, builder: JobBuilder, case: fences.Case) -> None:
    made = await case.before(builder)

    async def call() -> list[Any]:
        return [await store.run("renew_live", worker=made.worker, id=made.job_id, token=made.token)]

    await fences.refuses(store, call, case.word)
