"""What is kept with a job beside its fields: step checkpoints, the artifact index, facts. All fenced."""

from __future__ import annotations

from msgspec import Struct, json

from sluicegate import keys
from sluicegate.store import words
from sluicegate.store.connection import Store


class StepCheckpoint(Struct, rename="camel", kw_only=True):
    """The saved result of a finished step (H-7). step_index counts from 0; attempt is the step attempt."""

    step_id: str
    step_index: int
    attempt: int
    diff_hash: str
    tree_hash: str
    changed_files: list[str]
    summary: str
    finished_at: str
    patch_artifact: str


class Artifact(Struct, rename="camel", kw_only=True):
    id: str
    job_id: str
    name: str
    content_type: str
    size_bytes: int
    digest: str
    created_at: str


async def save_step(
    store: Store, worker_id: str, job_id: str, token: int, checkpoint: StepCheckpoint
) -> None:
    """Keep a finished step. Raises LeaseLost, NotFound."""
    await _attach(
        store, worker_id, job_id, token, "steps", str(checkpoint.step_index), json.encode(checkpoint)
    )


async def steps(store: Store, job_id: str) -> list[StepCheckpoint]:
    """The finished steps, in order."""
    flat = await store.command("HVALS", keys.job_shelf(job_id, "steps"))
    found = [json.decode(text, type=StepCheckpoint) for text in flat]
    return sorted(found, key=lambda checkpoint: checkpoint.step_index)


async def record_artifact(store: Store, worker_id: str, token: int, artifact: Artifact) -> None:
    """Index an artifact; the same name again replaces. Raises LeaseLost, NotFound."""
    await _attach(store, worker_id, artifact.job_id, token, "artifacts", artifact.name, json.encode(artifact))


async def artifacts(store: Store, job_id: str) -> list[Artifact]:
    """The artifacts of a job, by name."""
    flat = await store.command("HVALS", keys.job_shelf(job_id, "artifacts"))
    return sorted((json.decode(text, type=Artifact) for text in flat), key=lambda artifact: artifact.name)


async def state_fact(store: Store, worker_id: str, job_id: str, token: int, name: str, value: str) -> str:
    """Keep a fact with the job for all its attempts; the first value stays and is returned."""
    return await _attach(store, worker_id, job_id, token, "facts", name, value.encode(), once=True)


async def _attach(
    store: Store,
    worker_id: str,
    job_id: str,
    token: int,
    shelf: str,
    name: str,
    value: bytes,
    *,
    once: bool = False,
) -> str:
    reply = await store.run(
        "attach",
        worker=worker_id,
        id=job_id,
        token=token,
        shelf=shelf,
        name=name,
        value=value,
        once=int(once),
    )
    if reply[0] != "KEPT":
        raise words.refused(reply[0], job_id)
    return str(reply[1])
