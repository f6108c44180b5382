"""What a worker keeps with a job for the attempts that follow: finished steps, and facts (H-7, H-8)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sluicegate.auth.identity import Identity
from sluicegate.model import Name
from sluicegate.operations import worker_calls
from sluicegate.operations.calls import Call, Held, Moment, Text
from sluicegate.store import shelves
from sluicegate.store.connection import Store
from sluicegate.store.shelves import StepCheckpoint

FactName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)", description="like `start_commit`")]


class FinishedStep(Call):
    """A step checkpoint. step_index counts from 0; attempt is the step attempt."""

    step_id: Name
    step_index: Annotated[int, Meta(ge=0, le=9_999)]
    attempt: Annotated[int, Meta(ge=1)]
    diff_hash: Name
    tree_hash: Name
    changed_files: Annotated[list[str], Meta(max_length=100_000)]
    summary: Text
    finished_at: Moment
    patch_artifact: Annotated[str, Meta(max_length=255, description="name of the artifact with its patch")]


class StepCall(Held):
    step: FinishedStep


class DropStepsCall(Held):
    first: Annotated[int, Meta(ge=0, le=9_999, description="index of the first step to forget, from 0")]


class DroppedSteps(Struct, rename="camel", kw_only=True):
    dropped: int


class FactCall(Held):
    """replace: for a fact that changes; else the first value stays."""

    name: FactName
    value: Annotated[str, Meta(max_length=16_384)]
    replace: bool = False


class Fact(Struct, rename="camel", kw_only=True):
    """A fact as it is kept."""

    name: str
    value: str


async def save_step(store: Store, who: Identity, job_id: str, call: StepCall) -> StepCheckpoint:
    """Keep a finished step; the same step again replaces. Raises LeaseLost, NotFound, Forbidden."""
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    step = msgspec.convert(msgspec.to_builtins(call.step), StepCheckpoint)
    await shelves.save_step(store, worker_id, job_id, token, step)
    return step


async def drop_steps(store: Store, who: Identity, job_id: str, call: DropStepsCall) -> DroppedSteps:
    """Forget finished steps, so that they run again. Raises LeaseLost, NotFound, Forbidden."""
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    return DroppedSteps(dropped=await shelves.drop_steps(store, worker_id, job_id, token, call.first))


async def keep_fact(store: Store, who: Identity, job_id: str, call: FactCall) -> Fact:
    """Keep a fact, unless one of this name is kept and is not to be replaced.

    Raises LeaseLost, NotFound, Forbidden.
    """
    worker_id, token = await worker_calls.held(store, who, job_id, call)
    if call.replace:
        await shelves.change_fact(store, worker_id, job_id, token, call.name, call.value)
        return Fact(name=call.name, value=call.value)
    value = await shelves.state_fact(store, worker_id, job_id, token, call.name, call.value)
    return Fact(name=call.name, value=value)
