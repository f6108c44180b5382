"""Stage `prepare`: everything that can be known to be wrong before money is spent, then the workspace."""

from __future__ import annotations

import os
import shutil

from services.worker.runtimes import readiness
from services.worker.task import checkpoints, environment, skills
from services.worker.task.failures import failed
from services.worker.task.publish import gh_environment, standing
from services.worker.task.run import TaskRun, step_count


async def prepare(run: TaskRun) -> None:
    """A workspace with the start commit and the finished steps of earlier attempts, verified (H-8)."""
    run.skills = skills.load(run.task, run.ctx.settings.skills_dir)
    _require_runtime(run)
    if run.task.task.publish.mode == "pr":
        _require_gh(run)
    if run.secrets.git:
        run.git.give_credentials(run.secrets.git)
    await run.files.clone(stage="prepare")
    await _find_start(run)
    if run.task.task.publish.mode != "none":
        await standing(run, await run.git.commit_of(f"refs/heads/{run.branch}"))
    run.tree, run.finished = await checkpoints.rebuild(run, run.files, stage="prepare")
    await run.files.fill(run.start_commit, run.branch, run.tree)
    run.note(
        "prepare", f"start commit {run.start_commit}, {step_count(run.finished, 'finished')}, tree {run.tree}"
    )


async def _find_start(run: TaskRun) -> None:
    """The start commit is the branch's at the job's first prepare, and the same ever after (H-7)."""
    named = run.task.task.git.starting_branch
    ref = f"refs/heads/{named}" if named else "HEAD"
    commit = await run.git.commit_of(ref)
    if commit is None:
        what = f"branch {named!r} does not exist in" if named else "there is no commit in"
        raise failed(f"{what} {run.git.repository.canonical}", "deterministic_repo")
    run.start_commit = await run.insist(lambda: run.ctx.start_commit(commit))
    await run.files.bring(run.start_commit, stage="prepare")
    run.base_branch = named or await run.git.default_branch()


def _require_runtime(run: TaskRun) -> None:
    """Its program and what lets it in, as the steps will find them."""
    settings = run.ctx.settings
    seen = environment.for_step(os.environ, settings, run.secrets.env, {})
    if missing := readiness.lacking(run.runtime, seen, settings.runtimes_signed_in):
        raise failed(missing, "deterministic_policy")


def _require_gh(run: TaskRun) -> None:
    """Without gh or its token no pull request can come of it, however good the steps are (70-33)."""
    if run.git.repository.scheme == "file":
        raise failed("publish.mode pr needs a repository on a host, not a local path", "deterministic_policy")
    if shutil.which("gh", path=run.git.environment.get("PATH")) is None:
        raise failed("publish.mode pr needs gh, which this worker does not have", "deterministic_policy")
    if "GH_TOKEN" not in gh_environment(run, os.environ):
        raise failed(
            "publish.mode pr needs a token: auth.git, or GH_TOKEN in auth.env", "deterministic_policy"
        )
