"""A broken event stream goes on without gap or repeat, wherever it broke (Q-6, 70-14)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from sluicegate.client.sse import Parser
from sluicegate.store import live_events
from tests.services.client.breakage import Breakage
from tests.services.queue_api.conftest import Api

DROPS = 120
FOLLOWERS = 4
LONGEST_CUT = 12_000


async def follow(url: str, job_id: str, breakage: Breakage, enough: asyncio.Event) -> list[str]:
    """The ids of all events up to the end, over as many connections as it takes."""
    seen: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        while True:
            parser = Parser()
            headers = {"Last-Event-ID": seen[-1]} if seen else {}
            try:
                async with session.get(
                    f"{url}/api/queue/jobs/{job_id}/events/stream", headers=headers
                ) as response:
                    async for chunk in response.content.iter_any():
                        for message in parser.feed(chunk):
                            if message.event == "end":
                                return seen
                            assert message.id is not None
                            seen.append(message.id)
            except aiohttp.ClientError:
                pass
            if breakage.broken >= DROPS:
                enough.set()


@asynccontextmanager
async def written_all_the_while(
    api: Api, job_id: str, held: dict[str, str], chance: random.Random
) -> AsyncIterator[None]:
    """Events of all sizes, one by one and many at once, for as long as the block lasts."""
    over = False

    async def write() -> None:
        number = 0
        while not over:
            batch = []
            for _ in range(chance.choice((1, 1, 1, 2, 7, 40))):
                number += 1
                batch.append({"message": str(number), "payload": {"text": "é" * chance.randrange(300)}})
            answer = await api.post(f"/jobs/{job_id}/events", {**held, "events": batch})
            assert answer.status == 201, answer.text
            await asyncio.sleep(chance.choice((0, 0, 0.002)))

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        over = True
        await writing


@pytest.mark.parametrize("kept", [live_events.KEPT_BYTES, 1_000], ids=["live", "lagging"])
async def test_each_event_comes_once_and_in_order(
    api: Api, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several followers, cut off at random bytes while the job writes; also when hardly anything is kept
    for those who lag, so that what is read from the store and what comes live meet again and again."""
    monkeypatch.setattr(live_events, "KEPT_BYTES", kept)
    chance = random.Random(7)
    job_id, held = await api.running()
    enough = asyncio.Event()

    def cut(_: int) -> int | None:
        return None if enough.is_set() else chance.randrange(1, LONGEST_CUT)

    breakage = Breakage(api.url, cut)
    async with breakage.listening() as url:
        following = [asyncio.create_task(follow(url, job_id, breakage, enough)) for _ in range(FOLLOWERS)]
        async with written_all_the_while(api, job_id, held, chance):
            await asyncio.wait_for(enough.wait(), 30)
        assert (await api.post(f"/jobs/{job_id}/complete", held)).status == 200
        seen = await asyncio.gather(*following)
    assert breakage.broken >= DROPS
    history: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get(f"/jobs/{job_id}/events", params={"limit": "500", **cursor})).json
        history += [event["id"] for event in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    for each in seen:
        assert each == history
