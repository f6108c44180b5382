"""A hard reset: the workspace built anew from the start commit and the finished steps, verified (H-5)."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from services.worker.task import checkpoints
from services.worker.task.failures import failed
from services.worker.task.place import Place
from services.worker.task.run import TaskRun, step_count
from services.worker.task.work_tree import WorkTree


async def hard_reset(run: TaskRun, index: int) -> None:
    """A fresh clone with the patches of the steps before this one takes the workspace's place.

    Only when all of it is right: the old one is untouched until then, also when this is cancelled. Raises
    JobFailed when a patch does not apply or a tree is another one; obeys the controls between two patches.
    """
    began = time.monotonic()
    new = run.place.beside()
    await asyncio.to_thread(shutil.rmtree, new.workspace, ignore_errors=True)
    new.workspace.mkdir()
    files = WorkTree(run.git.at(new))
    run.note("execute", "rebuilding the workspace")
    await files.clone(stage="execute")
    await files.bring(run.start_commit, stage="execute")
    tree, finished = await checkpoints.rebuild(run, files, stage="execute")
    if finished != index:
        raise failed(f"{finished} steps are saved where {index} were finished", "deterministic_contract")
    await files.fill(run.start_commit, run.branch, tree)
    run.ctx.discard(await asyncio.to_thread(_take_place, new, run.place))
    run.tree, run.finished = tree, finished
    seconds = round(time.monotonic() - began, 3)
    run.note("execute", f"the workspace is rebuilt: {step_count(finished, 'finished')}, tree {tree}")
    await run.step_event(
        "task.workspace.rebuilt",
        f"Rebuilt the workspace from the start commit and {step_count(finished, 'finished')}",
        index,
        treeHash=tree,
        finished=finished,
        seconds=seconds,
    )


def _take_place(new: Place, old: Place) -> Path:
    """Renames, which hardly take time; the folder with what was there before."""
    before = old.root / "discarded" / str(time.monotonic_ns())
    before.mkdir(parents=True)
    for ours, theirs in zip(new.moving, old.moving, strict=True):
        if theirs.exists() or theirs.is_symlink():
            theirs.rename(before / theirs.name)
        ours.rename(theirs)
    # The steps' repository borrows the objects of the worker's by its full name, which is another now.
    (old.tree / ".git" / "objects" / "info" / "alternates").write_text(f"{old.git_dir / 'objects'}\n")
    return before
