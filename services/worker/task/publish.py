"""Stage `publish`: one commit on the start commit, pushed once, under the lease (70-33)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from services.worker.heal.classify import classify
from services.worker.task.failures import failed, last_words
from services.worker.task.run import TaskRun

JOB_TRAILER: Final = "Sluicegate-Job"
LEASE_TRAILER: Final = "Sluicegate-Lease"
SEEN: Final = "refs/sluicegate/seen"


async def publish(run: TaskRun) -> None:
    """Push the branch, and open the pull request if asked. May be repeated: what is there already counts."""
    if run.tree == await run.git.tree_of(run.start_commit):
        await run.ctx.event("task.publish.skipped", "No change: nothing to publish", reason="no_change")
        run.outcome = "no change, nothing published"
        return
    await run.git.over_the_network(
        "fetch", "--prune", "--no-tags", "origin", f"+refs/heads/*:{SEEN}/*", stage="publish"
    )
    seen = await run.git.commit_of(f"{SEEN}/{run.branch}")
    published = await standing(run, seen)
    commit = published or await _push(run, seen)
    run.outcome = f"branch {run.branch} at {commit[:12]}"
    await run.ctx.event(
        "task.publish.finished",
        f"{'Found' if published else 'Pushed'} branch {run.branch} at {commit[:12]}",
        branch=run.branch,
        commit=commit,
        alreadyPublished=published is not None,
    )
    if run.task.task.publish.mode == "pr":
        await _pull_request(run)


async def standing(run: TaskRun, seen: str | None) -> str | None:
    """This job's commit, if the remote branch (at the commit `seen`) has it already; else None.

    A branch that goes another way than the start commit is somebody's work: it is never overwritten.
    """
    if seen is None:
        return None
    found = await run.git.own(
        "log",
        f"--format=%H %(trailers:key={JOB_TRAILER},valueonly,separator=%x20)",
        f"{run.start_commit}..{seen}",
    )
    for line in found.decode("utf-8", "replace").splitlines():
        commit, *jobs = line.split()
        if run.ctx.job.id in jobs:
            return commit
    if not await run.git.is_ancestor(seen, run.start_commit):
        raise failed(
            f"branch {run.branch} has commits that this task does not stand on (non-fast-forward); "
            "nothing was pushed",
            "deterministic_repo",
        )
    return None


async def _push(run: TaskRun, seen: str | None) -> str:
    """The fence, then the push: a worker taken for dead must not overwrite its successor's branch."""
    commit = await _commit(run)
    ref = f"refs/heads/{run.branch}"
    await run.ctx.checkpoint()
    await run.insist(run.ctx.hold)
    await run.git.over_the_network(
        "push", "--porcelain", "--no-verify", f"--force-with-lease={ref}:{seen or ''}",
        "origin", f"{commit}:{ref}", stage="publish",
    )  # fmt: skip
    return commit


async def _commit(run: TaskRun) -> str:
    message = await run.git.own(
        "interpret-trailers",
        "--no-divider",
        "--trailer", f"{JOB_TRAILER}: {run.ctx.job.id}",
        "--trailer", f"{LEASE_TRAILER}: {run.ctx.lease_token}",
        stdin=_message(run).encode(),
    )  # fmt: skip
    made = await run.git.own("commit-tree", run.tree, "-p", run.start_commit, stdin=message)
    return made.decode().strip()


def _message(run: TaskRun) -> str:
    return (run.task.task.publish.commit_message or _first_line(run)).strip() + "\n"


def _first_line(run: TaskRun) -> str:
    return run.task.task.instructions.strip().splitlines()[0].strip()


async def _pull_request(run: TaskRun) -> None:
    """One pull request for the branch; one that is open already is it."""
    asked, repository = run.task.task.publish, run.git.repository.canonical
    head = ("--repo", repository, "--head", run.branch)
    listed = await _gh(run, "pr", "list", *head, "--json", "url", "--jq", ".[0].url")
    url = last_words(listed)
    if not url:
        body = run.place.root / "pull-request.md"
        body.write_text(asked.pr_body if asked.pr_body is not None else run.task.task.instructions)
        made = await _gh(
            run, "pr", "create", *head, "--base", asked.pr_base_branch or run.base_branch,
            "--title", asked.pr_title or _first_line(run)[:256], "--body-file", str(body),
        )  # fmt: skip
        url = last_words(made)
    run.outcome += f", pull request {url}"
    await run.ctx.event("task.publish.pull_request", f"Pull request {url}", url=url, branch=run.branch)


async def _gh(run: TaskRun, *args: str) -> bytes:
    run.note("publish", f"$ gh {args[0]} {args[1]}")
    result = await run.ctx.run(
        ["gh", *args],
        cwd=run.place.root,
        env=gh_environment(run, os.environ),
        pty=False,
        stage="publish",
        log_path=run.place.stage_log("publish"),
    )
    if result.exit_code != 0:
        said = last_words(result.output)
        meant = classify(
            result.output,
            run.ctx.settings.failure_rules,
            exit_code=result.exit_code,
            signal=result.signal,
        )
        raise failed(f"gh {args[0]} {args[1]} failed: {said}", meant.failure_class)
    return result.output


def gh_environment(run: TaskRun, environ: Mapping[str, str]) -> dict[str, str]:
    """Git's environment and the token: the task's own if it has one, else the worker's."""
    token = (
        run.secrets.env.get("GH_TOKEN")
        or run.secrets.env.get("GITHUB_TOKEN")
        or run.secrets.git
        or environ.get("GH_TOKEN")
        or environ.get("GITHUB_TOKEN")
    )
    inherited = {
        name: value for name, value in run.git.environment.items() if name not in ("GH_TOKEN", "GITHUB_TOKEN")
    }
    quiet = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
    return {**inherited, **quiet, **({"GH_TOKEN": token, "GH_ENTERPRISE_TOKEN": token} if token else {})}
