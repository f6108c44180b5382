"""What is kept with a job beside its fields: step checkpoints, the artifact index, facts. All fenced."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, json

from sluicegate import keys
from sluicegate.errors import NotFound, TooLarge
from sluicegate.store import words
from sluicegate.store.connection import Store

MOST_STEPS: Final = 200
MOST_FACTS: Final = 100
"""What a job keeps beside its artifacts, in number: more than any task needs."""


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
    """id: of this upload; a later one of the same name has its own. digest: `sha256:<64 digits>`."""

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
    name, value = str(checkpoint.step_index), json.encode(checkpoint)
    await _attach(store, worker_id, job_id, token, "steps", name, value, most=MOST_STEPS)


async def drop_steps(store: Store, worker_id: str, job_id: str, token: int, first: int) -> int:
    """Forget the finished steps from this index on; how many that were. Raises LeaseLost, NotFound."""
    reply = await store.run("drop_steps", worker=worker_id, id=job_id, token=token, first=first)
    if reply[0] != "DROPPED":
        raise words.refused(reply[0], job_id)
    return int(reply[1])


async def steps(store: Store, job_id: str) -> list[StepCheckpoint]:
    """The finished steps, in order."""
    flat = await store.command("HVALS", keys.job_shelf(job_id, "steps"))
    found = [json.decode(text, type=StepCheckpoint) for text in flat]
    return sorted(found, key=lambda checkpoint: checkpoint.step_index)


async def record_artifact(store: Store, worker_id: str, token: int, artifact: Artifact) -> Artifact | None:
    """Index an artifact; the same name again replaces. Returns the one that it replaced.

    Nobody else is told of that one. Raises LeaseLost, NotFound, TooLarge past SLUICEGATE_MAX_JOB_ARTIFACTS.
    """
    _, before = await _attach(
        store,
        worker_id,
        artifact.job_id,
        token,
        "artifacts",
        artifact.name,
        json.encode(artifact),
        most=store.settings.max_job_artifacts,
    )
    replaced = None if before is None else json.decode(before, type=Artifact)
    return None if replaced is None or replaced.id == artifact.id else replaced


async def artifacts(store: Store, job_id: str) -> list[Artifact]:
    """The artifacts of a job, by name."""
    flat = await store.command("HVALS", keys.job_shelf(job_id, "artifacts"))
    return sorted((json.decode(text, type=Artifact) for text in flat), key=lambda artifact: artifact.name)


async def artifact(store: Store, job_id: str, artifact_id: str) -> Artifact:
    """Raises NotFound (artifact_not_found)."""
    for found in await artifacts(store, job_id):
        if found.id == artifact_id:
            return found
    raise NotFound(f"job {job_id} has no artifact {artifact_id[:64]}", code="artifact_not_found")


async def state_fact(store: Store, worker_id: str, job_id: str, token: int, name: str, value: str) -> str:
    """Keep a fact with the job for all its attempts; the first value stays and is returned."""
    kept, _ = await _attach(
        store, worker_id, job_id, token, "facts", name, value.encode(), once=True, most=MOST_FACTS
    )
    return kept


async def change_fact(store: Store, worker_id: str, job_id: str, token: int, name: str, value: str) -> None:
    """Keep a fact that changes: the last value stays. Raises LeaseLost, NotFound."""
    await _attach(store, worker_id, job_id, token, "facts", name, value.encode(), most=MOST_FACTS)


async def facts(store: Store, job_id: str) -> dict[str, str]:
    """All that is known of the job, by name."""
    flat = await store.command("HGETALL", keys.job_shelf(job_id, "facts"))
    return dict(zip(flat[::2], flat[1::2], strict=True))


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
    most: int = 0,
) -> tuple[str, str | None]:
    """The value that is kept now, and the one before it. most: names on the shelf, 0 for any number."""
    reply = await store.run(
        "attach",
        worker=worker_id,
        id=job_id,
        token=token,
        shelf=shelf,
        name=name,
        value=value,
        once=int(once),
        most=most,
    )
    if reply[0] == "FULL":
        code = "artifact_too_large" if shelf == "artifacts" else "payload_too_large"
        raise TooLarge(f"job {job_id} has {most:,} {shelf} already", code=code)
    if reply[0] != "KEPT":
        raise words.refused(reply[0], job_id)
    return reply[1], reply[2]
