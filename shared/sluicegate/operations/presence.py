"""Workers that reach the queue only through the API: who they are, and that they are there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sluicegate.auth.identity import Identity
from sluicegate.model import JobId, JobType, Name, WorkerId
from sluicegate.operations.calls import Call
from sluicegate.store import workers
from sluicegate.store.connection import Store
from sluicegate.store.workers import Clocks, Presence, WorkerState


class ClocksCall(Clocks, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """As a worker reports them."""


class PresenceCall(Call):
    """What a worker says of itself. jobs: those it runs, the first 100. paused_jobs: those of them that wait
    at a checkpoint. clocks: of the commands of steps."""

    worker_id: WorkerId
    host: Name
    pid: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    version: Name
    capabilities: Annotated[list[Name], Meta(max_length=200)]
    types: Annotated[list[JobType], Meta(max_length=200)] | None
    slots: Annotated[int, Meta(ge=1, le=10_000)]
    state: WorkerState
    jobs: Annotated[list[JobId], Meta(max_length=100)]
    paused_jobs: Annotated[list[JobId], Meta(max_length=100)] = msgspec.field(default_factory=list)
    repositories: Annotated[list[str], Meta(max_length=200)] | None = None
    clocks: Annotated[list[ClocksCall], Meta(max_length=100)] = msgspec.field(default_factory=list)


class DepartCall(Call):
    worker_id: WorkerId


class WorkerQuery(Call):
    worker_id: WorkerId


class Departed(Struct, rename="camel", kw_only=True):
    worker_id: str


class Credential(Struct, rename="camel", kw_only=True):
    """What the caller's credential says. worker_id: None when anybody may be any worker (auth disabled).

    None in a list is no restriction, an empty list is nothing.
    """

    worker_id: str | None
    allowed_job_types: list[str] | None = None
    allowed_repositories: list[str] | None = None
    capabilities: list[str] | None = None


def credential(who: Identity) -> Credential:
    grant = who.grant
    if grant is None:
        return Credential(worker_id=None)
    return Credential(
        worker_id=grant.worker_id,
        allowed_job_types=_listed(grant.types),
        allowed_repositories=_listed(grant.repositories),
        capabilities=_listed(grant.capabilities),
    )


async def announce(store: Store, who: Identity, call: PresenceCall) -> Presence:
    """Say that a worker is there. Repeat within 30 s (70-46)."""
    who.worker(call.worker_id)
    presence = Presence(**msgspec.structs.asdict(call), transport="http")
    await workers.announce(store, presence)
    return presence


async def depart(store: Store, who: Identity, call: DepartCall) -> Departed:
    """Say that a worker has ended in order. May be repeated."""
    await workers.depart(store, who.worker(call.worker_id))
    return Departed(worker_id=call.worker_id)


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
