"""What workers do to jobs, with who may: the same for REST and MCP (Q-1, Q-3).

Order of checks (70-3): the caller is the worker it names (403), the job exists (404), its credential allows
the job (403), then state and lease (409).
"""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.auth.identity import Identity
from sluicegate.errors import Invalid, LeaseLost, SluicegateError
from sluicegate.model import Event, Job, NewEvent, Pauses, Policy
from sluicegate.operations import access, leases
from sluicegate.operations.answers import HeartbeatAnswer, HeartbeatsAnswer, JobItem
from sluicegate.operations.calls import (
    AppendCall,
    AppendManyCall,
    CancelAckCall,
    ClaimCall,
    CompleteCall,
    Completed,
    ControlAnswer,
    FailCall,
    Failed,
    FinishCall,
    HeartbeatCall,
    HeartbeatManyCall,
    Held,
    HeldJob,
    ReleaseCall,
    Released,
)
from sluicegate.operations.events import listed, require_sizes
from sluicegate.repositories import canonical
from sluicegate.settings import Settings
from sluicegate.store import claims, controls, endings, events
from sluicegate.store import jobs as job_records
from sluicegate.store.claims import Lease
from sluicegate.store.connection import Store
from sluicegate.store.endings import Cancelled, Complete, Ending, Fail, Release


def policy(who: Identity, call: ClaimCall, settings: Settings) -> Policy:
    """What a claim may return. Raises Invalid (allowedRepositories)."""
    named = call.allowed_repositories
    asked = Policy(
        types=None if call.allowed_types is None else tuple(call.allowed_types),
        repositories=None if named is None
        else tuple(canonical(each, settings, path="allowedRepositories") for each in named),
        capabilities=tuple(call.worker_capabilities or ()),
    )  # fmt: skip
    if who.grant is None:
        return asked
    return who.grant.narrowed(asked, capabilities_named=call.worker_capabilities is not None)


async def heartbeat(store: Store, who: Identity, job_id: str, call: HeartbeatCall) -> HeartbeatAnswer:
    """Extend a lease; the job, with `system` beside its fields (70-1)."""
    worker_id, token = await held(store, who, job_id, call)
    (job,), system, pauses = await claims.heartbeat(
        store, worker_id, [Lease(job_id, token, milliseconds(call.lease_seconds))]
    )
    if isinstance(job, SluicegateError):
        raise job
    await store.hearing.seen(worker_id)
    fields = {name: getattr(job, name) for name in job.__struct_fields__}
    return HeartbeatAnswer(**fields, system=system, pauses=_told(pauses))


async def heartbeat_many(store: Store, who: Identity, call: HeartbeatManyCall) -> HeartbeatsAnswer:
    worker_id = who.worker(call.worker_id)
    tokens = await _all_held(store, who, worker_id, call.jobs)
    lease_ms = milliseconds(call.lease_seconds)
    wanted = [
        Lease(held.id, token, lease_ms)
        for held, token in zip(call.jobs, tokens, strict=True)
        if isinstance(token, int)
    ]
    items, system, pauses = await claims.heartbeat(store, worker_id, wanted)
    if any(isinstance(each, Job) for each in items):
        await store.hearing.seen(worker_id)
    renewed = iter(items)
    outcomes = [next(renewed) if isinstance(token, int) else token for token in tokens]
    return HeartbeatsAnswer(
        items=[JobItem.of(held.id, outcome) for held, outcome in zip(call.jobs, outcomes, strict=True)],
        system=system,
        pauses=_told(pauses),
    )


def _told(pauses: Pauses | None) -> Pauses | None:
    """Nothing where there was never a narrower pause."""
    return pauses if pauses is not None and pauses.version else None


async def complete(store: Store, who: Identity, job_id: str, call: CompleteCall) -> Job:
    worker_id, token = await held(store, who, job_id, call)
    return await endings.finish_one(store, worker_id, Complete(job_id, token, call.result_summary))


async def fail(store: Store, who: Identity, job_id: str, call: FailCall) -> Job:
    worker_id, token = await held(store, who, job_id, call)
    ending = Fail(job_id, token, call.error_message, call.retryable, call.failure_class)
    return await endings.finish_one(store, worker_id, ending)


async def release(store: Store, who: Identity, job_id: str, call: ReleaseCall) -> Job:
    worker_id, token = await held(store, who, job_id, call)
    return await endings.finish_one(store, worker_id, Release(job_id, token, call.reason))


async def acknowledge_cancel(store: Store, who: Identity, job_id: str, call: CancelAckCall) -> Job:
    """End a job as cancelled. Raises TooLarge when message and receipt are more than an event may have."""
    require_sizes([NewEvent(message=call.message or "", payload=call.receipt)], store.settings)
    worker_id, token = await held(store, who, job_id, call)
    ending = Cancelled(job_id, token, message=call.message, receipt=call.receipt)
    return await endings.finish_one(store, worker_id, ending)


async def answer_control(store: Store, who: Identity, job_id: str, call: ControlAnswer) -> Job:
    """Say what became of an operator's request; the job with what is asked of it from then on (H-10)."""
    if call.what == "summary" and call.outcome != "ack":
        raise Invalid.field("outcome", "a summary is passed on, it cannot be rejected")
    worker_id, token = await held(store, who, job_id, call)
    await controls.answer(
        store, worker_id, job_id, token, what=call.what, request_id=call.request_id, outcome=call.outcome,
        message=call.message,
    )  # fmt: skip
    return await job_records.get(store, job_id)


async def finish(store: Store, who: Identity, call: FinishCall) -> list[Job | SluicegateError]:
    """End attempts, each in its own way; the jobs as they are then, or why not, in order."""
    worker_id = who.worker(call.worker_id)
    tokens = await _all_held(store, who, worker_id, call.jobs)
    asked = [
        _ending(each, token) for each, token in zip(call.jobs, tokens, strict=True) if isinstance(token, int)
    ]
    ended = iter(await endings.finish(store, worker_id, asked))
    return [next(ended) if isinstance(token, int) else token for token in tokens]


async def append(store: Store, who: Identity, job_id: str, call: AppendCall) -> list[Event]:
    """Append to the job's history; what its log limit swallowed is left out of the answer."""
    given = listed(call)
    require_sizes(given, store.settings)
    worker_id, token = await held(store, who, job_id, call)
    return await events.append(store, worker_id, job_id, token, given)


async def append_many(
    store: Store, who: Identity, call: AppendManyCall
) -> list[Event | SluicegateError | None]:
    """Append to the histories of the worker's jobs, in order: each event, None where a log limit left it out
    or it was appended before, or why it was refused. Those that can be appended are appended together.
    """
    require_sizes(call.events, store.settings)
    worker_id = who.worker(call.worker_id)
    tokens = await _all_held(store, who, worker_id, call.events)
    wanted = [
        events.Append(
            each.id,
            token,
            NewEvent(level=each.level, message=each.message, payload=each.payload),
            each.seq or 0,
        )
        for each, token in zip(call.events, tokens, strict=True)
        if isinstance(token, int)
    ]
    appended = iter(await events.append_many(store, worker_id, wanted))
    return [next(appended) if isinstance(token, int) else token for token in tokens]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


async def held(store: Store, who: Identity, job_id: str, call: Held) -> tuple[str, int]:
    """The worker and the number of its lease, if it may act on the job at all."""
    worker_id = who.worker(call.worker_id)
    await access.require_job(store, who, job_id)
    return worker_id, await leases.number(store, worker_id, job_id, call.lease_token)


async def _all_held(
    store: Store, who: Identity, worker_id: str, jobs: Sequence[HeldJob]
) -> list[int | SluicegateError]:
    """Per job the number of its lease, or why the worker may not act on it."""
    refused = await access.refusals(store, who, [held.id for held in jobs])
    found: list[int | SluicegateError] = []
    for held in jobs:
        try:
            found.append(
                refused.get(held.id) or await leases.number(store, worker_id, held.id, held.lease_token)
            )
        except LeaseLost as error:
            found.append(error)
    return found


def _ending(each: Completed | Failed | Released, token: int) -> Ending:
    match each:
        case Completed():
            return Complete(each.id, token, each.result_summary)
        case Failed():
            return Fail(each.id, token, each.error_message, each.retryable, each.failure_class)
    return Release(each.id, token, each.reason)
