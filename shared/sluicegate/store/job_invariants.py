"""Says where jobs are not what, or not where, their records say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from sluicegate import keys
from sluicegate.model import STATUSES
from sluicegate.store import record_invariants
from sluicegate.store.connection import Store
from sluicegate.store.findings import Findings, Progress, of_word
from sluicegate.store.pages import key_pages, zset_pages

MOST: Final = 50
"""Jobs of one look, some fifteen commands each: the server is busy with them for a millisecond."""


async def survey(store: Store, progress: Progress) -> Findings:
    """Every record, with the one place of its job; then what the indexes name and nobody has a record of."""
    async for job_ids in pages_of_records(store):
        async for finding in record_invariants.survey(store, job_ids):
            yield finding
        async for finding in _examined(store, job_ids):
            yield finding
        progress(len(job_ids))
    for key in (*(keys.status(status) for status in STATUSES), keys.LEASES, keys.DELAYED):
        async for page in zset_pages(store, key):
            there = await store.commands(*(("EXISTS", keys.job(job_id)) for job_id in page))
            lost = [job_id for job_id, found in zip(page, there, strict=True) if not found]
            async for finding in _examined(store, lost):
                yield finding


async def pages_of_records(store: Store) -> AsyncIterator[list[str]]:
    """The ids of all jobs that have a record; some may come twice."""
    prefix = keys.job("")
    async for names in key_pages(store, keys.job("*"), "hash"):
        job_ids = [name.removeprefix(prefix) for name in names]
        if records := [job_id for job_id in job_ids if ":" not in job_id]:
            yield records


async def _examined(store: Store, job_ids: Sequence[str]) -> Findings:
    for start in range(0, len(job_ids), MOST):
        part = job_ids[start : start + MOST]
        (found,) = await store.run("examine_jobs", [(job_id,) for job_id in part])
        for job_id, words in zip(part, found, strict=True):
            for word in words:
                yield of_word(word, job_id)


async def pages_with_artifacts(store: Store) -> AsyncIterator[list[str]]:
    """The ids of all jobs that have an index of artifacts; some may come twice."""
    begin, end = keys.job_shelf("*", "artifacts").split("*")
    async for names in key_pages(store, keys.job_shelf("*", "artifacts"), "hash"):
        yield [name.removeprefix(begin).removesuffix(end) for name in names]


async def has_record(store: Store, job_id: str) -> bool:
    return bool(await store.command("EXISTS", keys.job(job_id)))
