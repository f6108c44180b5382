"""Step checkpoints: saved before the next step starts, replayed and verified before going on (H-7, H-8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from services.worker.task.failures import failed
from services.worker.task.git import GitFailed
from services.worker.task.leaks import leaking_file
from services.worker.task.place import numbered
from services.worker.task.run import TaskRun, step_name
from services.worker.task.work_tree import Change, WorkTree, digest_of
from sluicegate.errors import NotFound
from sluicegate.store.shelves import Artifact, StepCheckpoint
from sluicegate.times import now_ms, to_rfc3339

INDEXED_FILES: Final = 200
"""File names that the job's own index holds; the state artifact has them all."""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What a step changed; its patch is a file of the place."""

    tree_hash: str
    diff_hash: str
    changes: list[Change]

    @property
    def names(self) -> list[str]:
        return [change.name for change in self.changes]


async def measure(run: TaskRun, index: int) -> Diff:
    """The difference between the tree before this step and the files as they are now, unjudged.

    Raises JobFailed when the files cannot be read.
    """
    after = await run.files.snapshot()
    changes = await run.files.changes(run.tree, after)
    patch = run.place.patch(index)
    patch.unlink(missing_ok=True)
    await run.files.patch(run.tree, after, patch)
    patch.touch()
    return Diff(tree_hash=after, diff_hash=digest_of(patch), changes=changes)


async def take(run: TaskRun, index: int) -> Diff:
    """The difference, as what the step has done.

    Raises JobFailed: a secret is in it (deterministic_policy), or the patch is over its limit (70-15).
    """
    diff = await measure(run, index)
    patch = run.place.patch(index)
    redactor, tokens = run.ctx.redactor, not run.ctx.settings.allow_tokens_in_changes
    if file := await leaking_file(run.git, diff.changes, patch, redactor, tokens=tokens):
        patch.unlink()
        raise failed(f"secret in changes: {redactor.text(file)}", "deterministic_policy")
    size, limit = patch.stat().st_size, run.ctx.settings.max_patch_bytes
    if size > limit:
        raise failed(f"the patch of {size:,} bytes is over the limit of {limit:,}", "deterministic_policy")
    return diff


async def save(run: TaskRun, index: int, attempt: int, diff: Diff, summary: str) -> None:
    """Store the finished step: patch, state, then the entry with the job, which is what makes it finished."""
    step = run.task.task.steps[index]
    checkpoint = StepCheckpoint(
        step_id=step.id,
        step_index=index,
        attempt=attempt,
        diff_hash=diff.diff_hash,
        tree_hash=diff.tree_hash,
        changed_files=diff.names,
        summary=run.ctx.redactor.text(summary),
        finished_at=to_rfc3339(now_ms()),
        patch_artifact=f"patches/steps/{numbered(index)}.patch",
    )
    patch, state = run.place.patch(index), f"state/steps/{numbered(index)}.json"
    text = msgspec.json.format(msgspec.json.encode(checkpoint), indent=2)
    indexed = msgspec.structs.replace(checkpoint, changed_files=diff.names[:INDEXED_FILES])
    ctx = run.ctx
    await run.insist(lambda: ctx.artifact(checkpoint.patch_artifact, patch, content_type="text/x-diff"))
    await run.insist(lambda: ctx.artifact(state, text, content_type="application/json"))
    await run.insist(lambda: ctx.save_step(indexed))
    run.tree, run.finished = diff.tree_hash, index + 1


async def rebuild(run: TaskRun, files: WorkTree, *, stage: str) -> tuple[str, int]:
    """Replay the finished steps in an index of `files`; the tree after them, and their number.

    Every patch and every resulting tree is compared with what was saved. Raises JobFailed, loudly and for
    good, when one differs: going on would publish something that no step has made.
    """
    saved = await run.insist(run.ctx.steps)
    _require_in_order(run, saved)
    stored = {artifact.name: artifact for artifact in await run.insist(run.ctx.artifacts)} if saved else {}
    replay = await files.replay(run.start_commit)
    for index, checkpoint in enumerate(saved):
        await run.ctx.checkpoint(step_id=checkpoint.step_id)
        await _fetch(run, index, checkpoint, stored.get(checkpoint.patch_artifact))
        step = step_name(run.task.task.steps[index], index)
        try:
            await replay.apply(run.place.patch(index))
        except GitFailed as error:
            raise failed(f"the patch of {step} does not apply: {error}", "deterministic_repo") from error
        if (tree := await replay.tree()) != checkpoint.tree_hash:
            raise failed(
                f"replaying {step} gives the tree {tree}, saved was {checkpoint.tree_hash}",
                "deterministic_repo",
            )
        run.note(stage, f"replayed {step}: tree {tree}")
    return await replay.tree(), len(saved)


async def _fetch(run: TaskRun, index: int, checkpoint: StepCheckpoint, artifact: Artifact | None) -> None:
    patch, step = run.place.patch(index), step_name(run.task.task.steps[index], index)
    if artifact is None:
        raise failed(f"the patch of {step} is gone: no {checkpoint.patch_artifact}", "deterministic_repo")
    try:
        await run.insist(lambda: run.ctx.fetch_artifact(artifact, patch))
    except NotFound as error:
        raise failed(f"the patch of {step} is gone: {error.detail}", "deterministic_repo") from error
    if (found := digest_of(patch)) != checkpoint.diff_hash:
        raise failed(
            f"the patch of {step} has the hash {found}, saved was {checkpoint.diff_hash}",
            "deterministic_repo",
        )


def _require_in_order(run: TaskRun, saved: Sequence[StepCheckpoint]) -> None:
    expected = [(index, step.id) for index, step in enumerate(run.task.task.steps)]
    found = [(each.step_index, each.step_id) for each in saved]
    if found != expected[: len(found)]:
        raise failed(f"the saved steps {found} are not the first of {expected}", "deterministic_contract")
