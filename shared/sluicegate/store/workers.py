"""Which workers are there: presence, renewed by the workers themselves, forgotten after a time."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, json, structs

from sluicegate import keys
from sluicegate.model import JobId
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339

LIVE_SECONDS: Final = 30
"""A worker is live when it was heard of within this time."""
WorkerState = Literal["idle", "busy", "paused", "paused_at_checkpoint", "stopping"]
"""paused: it claims nothing. paused_at_checkpoint: all that it runs waits, for whatever reason."""


SILENT_SECONDS: Final = 10
"""A command that is silent for so long is told of as silent, and as soon as it is no longer."""


class Clocks(Struct, rename="camel", kw_only=True):
    """Of the command of a job's step: for how long it runs and is silent, as its limits count (H-1).

    most_...: those limits, where the worker tells them.
    """

    job_id: JobId
    ran_seconds: Annotated[float, Meta(ge=0)]
    silent_seconds: Annotated[float, Meta(ge=0)]
    most_ran_seconds: Annotated[float, Meta(ge=0)] | None = None
    most_silent_seconds: Annotated[float, Meta(ge=0)] | None = None


class Presence(Struct, rename="camel", kw_only=True):
    worker_id: str
    host: str
    pid: int
    version: str
    transport: Literal["redis", "http"]
    capabilities: list[str]
    types: list[str] | None
    slots: int
    state: WorkerState
    jobs: list[str]
    paused_jobs: list[str] = []
    repositories: list[str] | None = None
    clocks: list[Clocks] = []
    last_seen: str = ""

    @property
    def silent_jobs(self) -> list[str]:
        return [each.job_id for each in self.clocks if each.silent_seconds >= SILENT_SECONDS]


async def announce(store: Store, presence: Presence) -> None:
    """Say that a worker is there and what it does. Repeat within LIVE_SECONDS."""
    now = await store.now_ms()
    await store.commands(
        ("SET", keys.worker(presence.worker_id), json.encode(presence), "PX", LIVE_SECONDS * 2000),
        ("ZADD", keys.WORKERS, now, presence.worker_id),
    )


async def depart(store: Store, worker_id: str) -> None:
    """Say that a worker has ended in order."""
    await store.commands(("DEL", keys.worker(worker_id)), ("ZREM", keys.WORKERS, worker_id))


async def listing(store: Store) -> list[Presence]:
    """The live workers, by id."""
    oldest = await store.now_ms() - LIVE_SECONDS * 1000
    flat = await store.command("ZRANGEBYSCORE", keys.WORKERS, oldest, "+inf", "WITHSCORES")
    if not flat:
        return []
    texts = await store.command("MGET", *(keys.worker(worker_id) for worker_id in flat[::2]))
    found = [
        structs.replace(json.decode(text, type=Presence), last_seen=to_rfc3339(int(float(seen))))
        for text, seen in zip(texts, flat[1::2], strict=True)
        if text
    ]
    return sorted(found, key=lambda presence: presence.worker_id)


async def read(store: Store, worker_id: str) -> Presence | None:
    """What a worker has said of itself last; None when it was not heard of for a while."""
    text, seen = await store.commands(("GET", keys.worker(worker_id)), ("ZSCORE", keys.WORKERS, worker_id))
    if not text or seen is None:
        return None
    return structs.replace(json.decode(text, type=Presence), last_seen=to_rfc3339(int(float(seen))))


async def forget_departed(store: Store) -> int:
    """Drop workers not heard of for a while; how many."""
    oldest = await store.now_ms() - LIVE_SECONDS * 2000
    return int(await store.command("ZREMRANGEBYSCORE", keys.WORKERS, "-inf", f"({oldest}"))
