"""A branch is pushed once, by whoever holds the lease, and never over somebody's work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.worker.task.handler import run_task
from sluicegate.errors import LeaseLost
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled
from tests.support.origin import Origin, git
from tests.support.recorded_context import attempt
from tests.support.tasks import NewTask, failure, run

BRANCH = {"git": {"newBranch": "result"}}


async def test_the_commit_is_described_by_the_producer(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: commitMessage, identity from settings, trailers beside those that the message has."""
    settings = msgspec.structs.replace(
        worker_settings, git_author_name="Bot", git_author_email="bot@example.org"
    )
    message = "Fix the login\n\n--- not a divider\n# not a comment\n\nReviewed-by: A <a@example.org>\n"
    kept = new_task("echo x > x", task=BRANCH | {"publish": {"mode": "branch", "commitMessage": message}})
    await run(kept, settings)
    assert origin.shown("result", "%B").splitlines() == [
        "Fix the login", "", "--- not a divider", "# not a comment", "",
        "Reviewed-by: A <a@example.org>", f"Sluicegate-Job: {kept.job.id}", "Sluicegate-Lease: 1",
    ]  # fmt: skip
    assert origin.shown("result", "%an %ae %cn") == "Bot bot@example.org Bot"


async def test_another_starting_branch(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    start = origin.commit({"other": b"x\n"}, branch="release/1")
    kept = new_task("git branch --show-current > current", task={"git": {"startingBranch": "release/1"}})
    await run(kept, worker_settings)
    branch = f"task/20260304/{kept.job.id[-12:]}"
    assert origin.shown(branch, "%P") == start
    assert origin.file(branch, "current").decode().strip() == branch


async def test_publishing_onto_the_starting_branch(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """A branch that is at the start commit, or behind it, is moved forward."""
    kept = new_task("echo x > x", task={"git": {"newBranch": "main"}})
    await run(kept, worker_settings)
    assert origin.shown("main", "%P") == origin.first


async def test_a_second_publish_after_a_crash_counts_as_done(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: pushed, then the worker died before saying so: the branch with this job's trailer is it."""
    kept = new_task("echo x > x", task=BRANCH)

    def dies(call: str) -> None:
        if call == "put_artifact logs/publish.log":
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with attempt(kept, worker_settings, before=dies) as recorded:
            await run_task(recorded.context)
    pushed = origin.tip("result")
    assert pushed is not None
    git("fetch", "-q", "origin", "result", cwd=origin.clone)
    git("checkout", "-q", "FETCH_HEAD", cwd=origin.clone)
    origin.commit({"on-top": b"of it\n"}, branch="result")  # somebody went on from there meanwhile

    summary = await run(kept, worker_settings)
    assert summary == f"1 step finished; branch result at {pushed[:12]}"
    assert [each["alreadyPublished"] for each in kept.told("task.publish.finished")] == [False, True]
    assert origin.shown("result", "%P") == pushed
    assert origin.shown("result~1", "%(trailers:key=Sluicegate-Lease,valueonly)").strip() == "1"


async def test_another_jobs_branch_is_not_ours(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: only this job's own trailer counts; a branch of somebody else ends the task before any step."""
    await run(new_task("echo x > x", task=BRANCH), worker_settings)
    theirs = origin.tip("result")
    kept = new_task("echo ran > y", task=BRANCH)
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_repo")
    assert "non-fast-forward" in error.message
    assert origin.tip("result") == theirs
    assert "task.step.started" not in kept.kinds()


async def test_a_branch_that_appears_meanwhile_is_not_overwritten(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: what the branch was when it was looked at is what the push insists on."""
    kept = new_task("echo x > x", task=BRANCH)
    theirs = ""

    def somebody_pushes(call: str) -> None:
        nonlocal theirs
        if call == "renew":
            theirs = origin.commit({"theirs": b"x\n"}, branch="result")

    async with attempt(kept, worker_settings, before=somebody_pushes) as recorded:
        with pytest.raises(Exception, match="stale info") as caught:
            await run_task(recorded.context)
    assert getattr(caught.value, "failure_class", None) == "transient_runtime"
    assert origin.tip("result") == theirs
    error = await failure(kept, worker_settings)  # the retry sees whose it is
    assert error.failure_class == "deterministic_repo"
    assert origin.tip("result") == theirs


async def test_a_lost_lease_does_not_push(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-33: the fence: whoever no longer holds the job asks first, and pushes nothing."""
    kept = new_task("echo x > x", task=BRANCH)

    def taken_over(call: str) -> None:
        if call == "renew":
            kept.token += 1

    with pytest.raises(LeaseLost):
        async with attempt(kept, worker_settings, before=taken_over) as recorded:
            await run_task(recorded.context)
    assert origin.branches() == ["main"]


async def test_a_cancel_before_the_push_is_obeyed(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """C-11: cancelled between the last step and the push: nothing is published."""
    kept = new_task("echo x > x", task=BRANCH)
    interrupts: list[Callable[[], object]] = []

    def cancelled(call: str) -> None:
        if call == "put_artifact logs/execute.log":
            interrupts[0]()

    async with attempt(kept, worker_settings, before=cancelled) as recorded:
        interrupts.append(lambda: recorded.running.interrupt("cancel"))
        with pytest.raises(JobCancelled):
            await run_task(recorded.context)
    assert list(kept.steps) == [0]
    assert origin.branches() == ["main"]


@pytest.mark.parametrize(
    ("hook", "script", "said"),
    [
        ("pre-receive", "echo 'main is frozen'; exit 1", "pre-receive hook declined"),
        ("update", "exit 1", "hook declined"),
    ],
)
async def test_a_push_that_a_hook_refuses(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask, hook: str, script: str, said: str
) -> None:
    """H-3, 70-30: a rejected push is deterministic_repo, not retried, and told in git's own words."""
    origin.hook(hook, script)
    kept = new_task("echo x > x", task=BRANCH)
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_repo")
    assert said in error.message
    if "frozen" in script:
        assert "main is frozen" in error.message
    assert origin.branches() == ["main"]
    assert list(kept.steps) == [0]
    assert "rejected" in kept.output("publish")


async def test_a_branch_that_is_checked_out_at_the_remote(
    origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """H-3: a repository that is not bare refuses its current branch: deterministic_repo."""
    git("checkout", "-q", "-B", "main", cwd=origin.clone)
    kept = new_task("echo x > x", task={"git": {"newBranch": "main"}}, repository=str(origin.clone))
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_repo")
    assert "checked out" in error.message


async def test_a_repository_that_is_not_there(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """H-3, 70-30: a missing repository is deterministic_repo, with git's own message, before any step."""
    (tmp_path / "folder").mkdir()
    for place in ("missing.git", "folder"):
        kept = new_task("echo ran", repository=str(tmp_path / place))
        error = await failure(kept, worker_settings)
        assert (error.retryable, error.failure_class) == (False, "deterministic_repo"), error.message
        assert place in error.message
        assert error.message.startswith("git clone failed: fatal: ")
        assert kept.kinds() == ["task.stage.started", "task.stage.failed"]
        assert b"fatal: " in kept.content[kept.artifacts["logs/prepare.log"].digest]


async def test_a_branch_or_a_commit_that_is_not_there(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    error = await failure(new_task("true", task={"git": {"startingBranch": "nope"}}), worker_settings)
    assert "branch 'nope' does not exist" in error.message
    git("init", "-q", "--bare", str(tmp_path / "empty.git"), cwd=tmp_path)
    empty = await failure(new_task("true", repository=str(tmp_path / "empty.git")), worker_settings)
    assert "no commit" in empty.message
    for each in (error, empty):
        assert (each.retryable, each.failure_class) == (False, "deterministic_repo")


async def test_what_a_step_configured_does_not_reach_the_push(
    tmp_path: Path, origin: Origin, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """A step can neither turn the push elsewhere nor run something with its credentials."""
    other = Origin(tmp_path / "elsewhere")
    kept = new_task(
        f"git remote set-url origin {other.path}; git config remote.origin.pushurl {other.path}; "
        f"git config url.{other.path}.insteadOf {origin.path}; "
        "mkdir hooks; git config core.hooksPath $PWD/hooks; "
        f"printf '#!/bin/sh\\ntouch {tmp_path}/ran' > hooks/pre-push; chmod +x hooks/pre-push; "
        f"git config credential.helper '!touch {tmp_path}/ran'; "
        "cp hooks/pre-push .git/hooks/reference-transaction",
        task=BRANCH,
    )
    await run(kept, worker_settings)
    assert origin.branches() == ["main", "result"]
    assert other.branches() == ["main"]
    assert not (tmp_path / "ran").exists()


GH = """#!/usr/bin/env bash
echo "gh $* token=$GH_TOKEN" >> {calls}
case "$2" in
  list) cat {opened} 2>/dev/null;;
  create) echo "https://github.com/acme/a/pull/7" | tee {opened};;
esac
exit {code}
"""


@pytest.fixture
def hosted(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """acme/a on github.com is really the local repository, and `gh` writes down how it is called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls, opened = tmp_path / "calls", tmp_path / "opened"
    (folder / "gh").write_text(GH.format(calls=calls, opened=opened, code=0))
    (folder / "gh").chmod(0o755)
    rule = f"url.{origin.path}.insteadOf=https://github.com/acme/a.git"
    (folder / "git").write_text(f'#!/bin/sh\nexec {shutil.which("git")} -c {rule} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    return calls


PULL = BRANCH | {"publish": {"mode": "pr", "prTitle": "Please", "prBody": "Look", "prBaseBranch": "main"}}


async def test_a_pull_request_is_opened_once(
    origin: Origin,
    worker_settings: WorkerSettings,
    new_task: NewTask,
    hosted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """70-33: `pr` opens the pull request with gh after the push; one that is open already is it."""
    monkeypatch.setenv("A_TOKEN", "ghp_not-a-real-token")
    kept = new_task("echo x > x", task=PULL, repository="acme/a", auth={"git": "env:A_TOKEN"})
    summary = await run(kept, worker_settings)
    assert summary.endswith("pull request https://github.com/acme/a/pull/7")
    assert await run(kept, worker_settings) == summary
    calls = hosted.read_text().splitlines()
    assert [call.split()[2] for call in calls] == ["list", "create", "list"]
    assert "--repo github.com/acme/a --head result --base main --title Please --body-file" in calls[1]
    assert all(call.endswith("token=ghp_not-a-real-token") for call in calls)
    assert b"ghp_not-a-real-token" not in kept.everything()
    assert origin.branches() == ["main", "result"]


async def test_without_gh_or_its_token_no_step_runs(
    worker_settings: WorkerSettings, new_task: NewTask, hosted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70-33: without gh or its token the task fails as deterministic_policy before any step runs."""
    kept = new_task("echo x > x", task=PULL, repository="acme/a")
    no_token = await failure(kept, worker_settings)
    (hosted.parent / "bin" / "gh").unlink()
    monkeypatch.setenv("GH_TOKEN", "x" * 20)
    no_gh = await failure(kept, worker_settings)
    for error, what in ((no_token, "needs a token"), (no_gh, "needs gh")):
        assert (error.retryable, error.failure_class) == (False, "deterministic_policy")
        assert what in error.message
    assert "task.step.started" not in kept.kinds()
