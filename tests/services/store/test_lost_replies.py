"""Replies of the store that are lost: what is sent again counts once."""

from __future__ import annotations

import random
from collections.abc import Awaitable

import pytest

from sluicegate.errors import StoreError
from sluicegate.model import Job, NewEvent
from sluicegate.settings import Settings
from sluicegate.store import Store, audit, cancellation, endings, events, jobs
from tests.services.client.breakage import Breakage
from tests.services.store.shaky import behind
from tests.support import given
from tests.support.contents import kinds


async def test_a_workers_events_stand_once(store: Store, settings: Settings) -> None:
    """Q-5: connections break before, within and after the reply; sending is repeated until there is one."""
    job = await given.running(store)
    chance = random.Random(3)
    breakage = Breakage(settings.redis_url, lambda _: chance.choice((0, chance.randrange(1, 300))))
    numbers = iter(range(1, 10_000))
    sent: list[str] = []
    async with behind(breakage, settings) as shaky:
        while breakage.broken < 40:
            batch = [
                events.Append(job.id, given.token(job), NewEvent(message=str(number)), number)
                for number, _ in zip(numbers, range(chance.randrange(1, 6)), strict=False)
            ]
            sent += [append.event.message for append in batch]
            answered = False
            while not answered:
                try:
                    await events.append_many(shaky, job.claimed_by or "", batch)
                    answered = True
                except StoreError:
                    continue
    found: list[str] = []
    after = None
    while page := await events.page(store, job.id, after=after, limit=500):
        found += [event.message for event in page]
        after = page[-1].id
    assert found[2:] == sent


@pytest.mark.slow
async def test_a_cancel_and_its_acknowledgement_count_once(store: Store, settings: Settings) -> None:
    """C-4, C-5: each is repeated until it is answered; one request, one end, one entry in the audit."""
    chance = random.Random(5)
    breakage = Breakage(settings.redis_url, lambda _: chance.choice((0, chance.randrange(1, 200), 1_000)))
    ended = 0
    async with behind(breakage, settings) as shaky:
        while breakage.broken < 20:
            job = await given.running(store)
            ending = endings.Cancelled(job.id, given.token(job), receipt={"survivors": []})
            while not await _answered(cancellation.cancel(shaky, job.id, actor="ann")):
                pass
            while not await _answered(endings.settle(shaky, "worker-1", [ending])):
                pass
            ended += 1
            assert (await jobs.get(store, job.id)).status == "cancelled"
            assert await kinds(store, job.id) == ["job.claimed", "job.cancel.requested", "job.cancelled"]
    entries, _ = await audit.page(store, audit.AuditFilter(control="job_cancel"), limit=200)
    assert len(entries) == ended


async def _answered(call: Awaitable[object]) -> bool:
    try:
        outcome = await call
    except StoreError:
        return False
    assert outcome == [None] or isinstance(outcome, Job)
    return True
