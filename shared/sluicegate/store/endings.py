"""How attempts end by their worker's word: complete, fail, release, cancelled; fenced by the lease token."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, json

from sluicegate.errors import RequestError, SluicegateError
from sluicegate.model import Job
from sluicegate.settings import Settings
from sluicegate.store import jobs, words
from sluicegate.store.connection import Store


class Complete(Struct, frozen=True, tag="complete"):
    job_id: str
    token: int
    result_summary: str | None = None


class Fail(Struct, frozen=True, tag="fail"):
    job_id: str
    token: int
    error_message: str
    retryable: bool = True
    failure_class: str | None = None


class Release(Struct, frozen=True, tag="release"):
    job_id: str
    token: int
    reason: str | None = None


class Cancelled(Struct, frozen=True, tag="cancelled"):
    """The worker's word that a job has ended as an operator asked. receipt: how its processes ended."""

    job_id: str
    token: int
    message: str | None = None
    receipt: dict[str, Any] | None = None


Ending = Complete | Fail | Release | Cancelled


async def settle(store: Store, worker_id: str, endings: Sequence[Ending]) -> list[RequestError | None]:
    """End attempts; per ending None, or why it was refused and wrote nothing. Safe to repeat.

    Endings of one kind leave in one call; the kinds one after another.
    """
    outcomes: list[RequestError | None] = [None] * len(endings)
    for kind, run in _RUNS:
        places = [at for at, ending in enumerate(endings) if type(ending) is kind]
        if places:
            replies = await run(store, worker_id, [endings[at] for at in places])
            for at, word in zip(places, replies, strict=True):
                if word not in ("OK", "REPEATED"):
                    outcomes[at] = words.refused(word, endings[at].job_id)
    return outcomes


async def finish(store: Store, worker_id: str, endings: Sequence[Ending]) -> list[Job | SluicegateError]:
    """End attempts; the jobs as they are then, or the error, in order."""
    outcomes = await settle(store, worker_id, endings)
    found = await jobs.read(store, [ending.job_id for ending in endings])
    return [
        outcome or job or words.refused("JOB_NOT_FOUND", ending.job_id)
        for outcome, job, ending in zip(outcomes, found, endings, strict=True)
    ]


async def finish_one(store: Store, worker_id: str, ending: Ending) -> Job:
    """End one attempt; the job as it is then. Raises LeaseLost, NotFound, Conflict."""
    result = (await finish(store, worker_id, [ending]))[0]
    if isinstance(result, Job):
        return result
    raise result


def backoff(settings: Settings) -> dict[str, Any]:
    """The retry settings as the scripts take them."""
    return {
        "base_ms": settings.retry_backoff_base_seconds * 1000,
        "factor": settings.retry_backoff_factor,
        "cap_ms": settings.retry_backoff_cap_seconds * 1000,
        "jitter": settings.retry_backoff_jitter,
    }


def chance() -> float:
    """For the jitter of a backoff: the scripts draw no random numbers themselves."""
    return round(random.random(), 6)  # noqa: S311


async def _complete(store: Store, worker_id: str, endings: Sequence[Any]) -> list[str]:
    items = [(ending.job_id, ending.token, ending.result_summary or "") for ending in endings]
    return await store.run_many("complete", items, worker=worker_id)


async def _fail(store: Store, worker_id: str, endings: Sequence[Any]) -> list[str]:
    items = [
        (
            ending.job_id,
            ending.token,
            ending.error_message,
            ending.failure_class or "",
            int(ending.retryable),
            chance(),
        )
        for ending in endings
    ]
    return await store.run_many("fail", items, worker=worker_id, **backoff(store.settings))


async def _release(store: Store, worker_id: str, endings: Sequence[Any]) -> list[str]:
    items = [(ending.job_id, ending.token, ending.reason or "", chance()) for ending in endings]
    return await store.run_many(
        "release",
        items,
        worker=worker_id,
        max_releases=store.settings.max_releases,
        **backoff(store.settings),
    )


async def _cancelled(store: Store, worker_id: str, endings: Sequence[Any]) -> list[str]:
    items = [
        (
            ending.job_id,
            ending.token,
            ending.message or "",
            json.encode(ending.receipt) if ending.receipt else "",
        )
        for ending in endings
    ]
    return await store.run_many("cancel_ack", items, worker=worker_id)


_RUNS: Final = ((Complete, _complete), (Fail, _fail), (Release, _release), (Cancelled, _cancelled))
