"""Cancelling, retrying, redriving and purging many jobs, chosen by ids or by a filter (70-10, 70-49).

Each is done a hundred jobs at a time by the same code as for one job, so that no step is long and each job's
change is whole. A call that is cut short has changed some of them: repeating it goes on with the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from msgspec import structs

from sluicegate.artifacts import ArtifactStore
from sluicegate.errors import Invalid, RequestError
from sluicegate.operations.answers import ManyAnswer, ManyItem
from sluicegate.operations.calls import ManyCall, ManyFilter
from sluicegate.operations.jobs import moment
from sluicegate.operations.removal import purge
from sluicegate.operations.retries import RETRYABLE, Retried, retry_id, retry_many
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import Store, cancellation, dead_letters, selection
from sluicegate.store.connection import MAX_ITEMS
from sluicegate.store.selection import Selection, Traits

MAX_SHOWN: Final = 1_000
DEAD: Final = ("dead_letter",)
EVERY: Final = Selection()
UNFINISHED: Final = ("queued", "running", "queued")
"""Waiting jobs twice: one that ran while they were looked at may have come back since."""

Outcome = bool | Retried | RequestError
"""Whether the call has changed the job, or why it could not."""
Change = Callable[[Sequence[str]], Awaitable[Sequence[Outcome]]]


async def cancel(store: Store, call: ManyCall, *, actor: str) -> ManyAnswer:
    """End those that wait, ask the workers of those that run (C-1..C-4)."""

    async def change(job_ids: Sequence[str]) -> Sequence[Outcome]:
        return await cancellation.cancel_many(store, job_ids, actor=actor, reason=call.reason)

    return await _each(store, call, UNFINISHED, change)


async def retry(store: Store, call: ManyCall, *, actor: str) -> ManyAnswer:
    """Run again what has ended without success. A filter leaves out jobs that have been retried already."""

    async def change(job_ids: Sequence[str]) -> Sequence[Outcome]:
        return await retry_many(store, job_ids, actor=actor, reason=call.reason)

    return await _each(store, call, RETRYABLE, change, unless=_retried)


async def redrive(store: Store, call: ManyCall, *, actor: str) -> ManyAnswer:
    """Give dead letters a new life, those that died first before the others."""

    async def change(job_ids: Sequence[str]) -> Sequence[Outcome]:
        return await dead_letters.redrive(store, job_ids, actor=actor, reason=call.reason)

    return await _each(store, call, DEAD, change)


async def purge_dead(store: Store, files: ArtifactStore, call: ManyCall, *, actor: str) -> ManyAnswer:
    """Remove dead letters with all their keys and files."""

    async def change(job_ids: Sequence[str]) -> Sequence[Outcome]:
        outcomes = await purge(store, files, job_ids, actor=actor, reason=call.reason)
        return [error or True for error in outcomes]

    return await _each(store, call, DEAD, change)


def chosen(call: ManyCall, settings: Settings) -> Selection:
    """The filter of a call. Raises Invalid: nothing chosen, or a wrong field."""
    wanted = call.filter or ManyFilter()
    if not call.ids and not any(value is not None for value in structs.astuple(wanted)):
        raise Invalid.field("filter", "is needed with at least one field, or ids: never simply everything")
    named = wanted.repository
    return Selection(
        status=wanted.status,
        type=wanted.type,
        repository=None if named is None else canonical(named, settings, path="filter.repository"),
        failure_class=wanted.failure_class,
        created_after_ms=moment("filter.createdAfter", wanted.created_after),
        created_before_ms=moment("filter.createdBefore", wanted.created_before),
    )


async def _each(
    store: Store,
    call: ManyCall,
    statuses: Sequence[str],
    change: Change,
    *,
    unless: Callable[[Store, Sequence[Traits]], Awaitable[set[str]]] | None = None,
) -> ManyAnswer:
    """Change every chosen job in one of these statuses; of named ones say also why one cannot be."""
    filter = chosen(call, store.settings)
    answer = ManyAnswer(matched=0, changed=0, dry_run=call.dry_run, items=[])
    async for job_ids in _candidates(store, call, filter, statuses):
        found = [job for job in await selection.traits(store, job_ids) if filter.admits(job)]
        fitting = [job for job in found if job.status in statuses]
        without = await unless(store, fitting) if unless else set[str]()
        matched = [job.job_id for job in fitting if job.job_id not in without]
        answer.matched += len(matched)
        if call.dry_run:
            continue
        # Named jobs are all tried, and refused one by one; with a filter beside them those that it admits.
        named = job_ids if filter == EVERY else [job.job_id for job in found]
        asked = matched if call.ids is None else named
        for job_id, outcome in zip(asked, await change(asked) if asked else (), strict=True):
            answer.changed += outcome is True or (isinstance(outcome, Retried) and outcome.changed)
            if len(answer.items) < MAX_SHOWN:
                answer.items.append(_item(job_id, outcome))
    return answer


async def _candidates(
    store: Store, call: ManyCall, filter: Selection, statuses: Sequence[str]
) -> AsyncIterator[Sequence[str]]:
    """The named ids, or every job in these statuses, up to 100 at a time. New jobs are left alone."""
    if call.ids is not None:
        unique = list(dict.fromkeys(call.ids))
        for start in range(0, len(unique), MAX_ITEMS):
            yield unique[start : start + MAX_ITEMS]
        return
    started = await store.now_ms()
    looked: dict[str, int] = {}
    for status in statuses:
        if filter.status not in (None, status) or (call.dry_run and status in looked):
            continue
        after, until = looked.get(status, -1), await store.now_ms()
        looked[status] = until - 1  # more may enter in this very millisecond
        async for job_ids in selection.entered(store, status, after_ms=after, until_ms=until):
            if after < 0:
                yield job_ids
            else:
                found = await selection.traits(store, job_ids)
                yield [job.job_id for job in found if job.created_ms <= started]


def _item(job_id: str, outcome: Outcome) -> ManyItem:
    if isinstance(outcome, RequestError):
        return ManyItem(id=job_id, status=outcome.status, error=outcome.problem())
    if isinstance(outcome, Retried) and outcome.job_id != job_id:
        return ManyItem(id=job_id, status=201 if outcome.changed else 200, retry_id=outcome.job_id)
    return ManyItem(id=job_id, status=200)


async def _retried(store: Store, jobs: Sequence[Traits]) -> set[str]:
    """Those whose retry is there. A dead letter has none: it runs again itself."""
    ids = {job.job_id: retry_id(job.job_id) for job in jobs if job.status != "dead_letter"}
    there = await selection.existing(store, list(ids.values()))
    return {job_id for job_id, retry in ids.items() if retry in there}
