"""How soon a cancelled tree of processes is gone, and a cancel arrives whose push does not come through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from benchmarks.cancel import APART_SECONDS, cancel, ended, set_traps, signalled
from benchmarks.ceiling import latencies
from benchmarks.rig import Rig
from benchmarks.subject import Round, Scale, Subject, Unmeasured
from sluicegate.client import Client
from sluicegate.store import Store, events
from sluicegate.times import from_rfc3339

HEARTBEAT_SECONDS: Final = 1.0
DEAF: Final = ("ACL", "SETUSER", "deaf", "on", ">deaf", "~*", "&*", "+@all", "-xread")
"""A user whose processes hear no push: what operators ask is read by XREAD."""


async def of_trees(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(20, quick=2)
    with Rig() as rig:
        async with (
            rig.service("queue_api") as url,
            rig.workers(slots=number) as (worker,),
            rig.store() as store,
            Client.from_url(url) as client,
            aiohttp.ClientSession(url) as session,
        ):
            for _ in scale.rounds:
                trees = await set_traps(client, rig.folder, number, worker, kind="tree")
                taken = []
                for job_id in trees:
                    answer = await cancel(session, job_id)
                    await client.wait(job_id, timeout_seconds=60)
                    taken.append(await _empty_at(store, job_id) - answer.today_ns / 1e6)
                    await asyncio.sleep(APART_SECONDS)
                yield latencies("cancel, from its 200 until a tree of 20 is gone", taken, None, p99=300)


async def without_pushes(scale: Scale) -> AsyncGenerator[Round, None]:
    number = scale.of(40, quick=4)
    with Rig() as rig:
        async with rig.store() as store:
            await store.command(*DEAF)
            place = urlsplit(rig.settings.redis_url)
            deaf = {
                "REDIS_URL": f"redis://deaf:deaf@{place.hostname}:{place.port}{place.path}",
                "WORKER_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
            }
            slots = number // 2
            async with (
                rig.service("queue_api", REDIS_URL=deaf["REDIS_URL"]) as url,
                rig.workers(slots=slots, settings=deaf) as near,
                rig.workers(slots=slots, url=url, settings=deaf) as far,
                Client.from_url(url) as client,
                aiohttp.ClientSession(url) as session,
            ):
                for _ in scale.rounds:
                    traps = await set_traps(client, rig.folder, number, *near, *far)
                    answers = []
                    for job_id in traps:
                        answers.append(await cancel(session, job_id))
                        await asyncio.sleep(APART_SECONDS)
                    at = [await signalled(path, *near, *far) for path in traps.values()]
                    waited = [
                        (each - answer.monotonic_ns) / 1e6 for each, answer in zip(at, answers, strict=True)
                    ]
                    await ended(store, *near, *far)
                    what = f"unpushed cancel, heartbeat {HEARTBEAT_SECONDS:g} s, from its 200 to the signal"
                    yield latencies(what, waited, None, p99=HEARTBEAT_SECONDS * 1000)


async def _empty_at(store: Store, job_id: str) -> int:
    """What the receipt says, in ms of the day; refuses one that does not prove 20 processes and their end."""
    (last,) = await events.page(store, job_id, sort="desc", limit=1)
    receipt = (last.payload or {}).get("receipt") or {}
    counted = [(each["signal"], each["processes"]) for each in receipt.get("signals", ())]
    if counted != [("SIGINT", 20)] or receipt["survivors"]:
        raise Unmeasured(f"not a tree of 20 that obeyed: {receipt}")
    return from_rfc3339(receipt["groupEmptyAt"])


SUBJECTS: Final = (
    Subject(
        name="cancel-tree", says="from a cancel over HTTP until a tree of 20 processes is gone",
        rounds=of_trees, long=True, limit_seconds=300.0,
    ),
    Subject(
        name="cancel-unheard", says="from a cancel to SIGINT when no push comes through",
        rounds=without_pushes, long=True, limit_seconds=300.0,
    ),
)  # fmt: skip
