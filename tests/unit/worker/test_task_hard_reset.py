"""A hard reset: a fresh clone and the finished steps, verified, take the place of a stuck workspace."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.worker.task.handler import run_task
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled, JobFailed, JobReleased
from tests.support.healing import story, told
from tests.support.origin import Origin, git
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask, failure, run
from tests.support.wait import until

STALE = "if ! test -e {marks}/begun; then touch {marks}/begun; mkdir cache; fi; "
BROKEN = "if test -d cache; then echo 'cache is of another version'; exit 1; fi; "


def stuck_task(new_task: NewTask, marks: Path, **more: object) -> Kept:
    """Three steps; the third fails until its workspace is a new one, since ignored files break it."""
    return new_task(
        f"echo 1 >> {marks}/1; echo cache/ > .gitignore; printf 'one\\0\\n' > one; rm README.md",
        f"echo 2 >> {marks}/2; mkdir -p d; cp one 'd/ü \" name'; chmod +x one; "
        "git add -A; git commit -qm 'own'",
        STALE.format(marks=marks)
        + BROKEN
        + f"echo 3 >> {marks}/3; ls -A > listing; git status --short > state",
        task={"git": {"newBranch": "result"}},
        **more,
    )


async def test_it_heals_what_a_soft_reset_cannot(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-5: the same tree as before, finished steps not run again, ignored leftovers gone."""
    kept = stuck_task(new_task, marks)
    await run(kept, healing)
    assert {path.name: path.read_text() for path in marks.glob("?")} == {"1": "1\n", "2": "2\n", "3": "3\n"}
    assert told(kept, "step.finished", "stepId", "attempt", "strategy")[-1] == ("step-3", 3, "hard_reset")
    assert told(kept, "workspace.rebuilt", "treeHash", "finished") == [(kept.steps[1].tree_hash, 2)]
    assert origin.file("result", "listing").split() == [b".git", b".gitignore", b"d", b"listing", b"one"]
    assert origin.file("result", "state") != b""
    assert origin.shown("result", "%P") == origin.first
    assert git("ls-tree", "result", "one", cwd=origin.path).startswith("100755")
    assert kept.facts["hard_resets"] == "1"


async def test_the_new_workspace_is_a_whole_one(
    healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """Its repository works under its own name: nothing of it points to where it was built."""
    checks = (
        "git log --oneline | wc -l; git fsck 2>&1; git diff HEAD --stat; pwd; git commit -qm x --allow-empty"
    )
    kept = new_task(
        "echo one > one",
        f"pwd > {marks}/pwd-$SLUICEGATE_STEP_ATTEMPT; test $SLUICEGATE_STEP_ATTEMPT = 3 || exit 1; {checks}",
    )
    await run(kept, healing)
    said = kept.output("execute")
    assert "fatal" not in said and "error" not in said and "missing" not in said
    assert (marks / "pwd-1").read_text() == (marks / "pwd-3").read_text()


async def test_the_start_commit_is_brought_though_no_branch_leads_to_it(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-5, H-7: the branch was rewritten meanwhile; the task stands on what it began with."""
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=origin.path)
    at = f"git -C {origin.path}"
    rewrite = f"{at} update-ref refs/heads/main $({at} commit-tree -m new $({at} mktree < /dev/null))"
    kept = new_task(f"test $SLUICEGATE_STEP_ATTEMPT = 3 && cat README.md || {{ {rewrite}; exit 1; }}")
    await run(kept, healing)
    assert "first line" in kept.output("execute")


@pytest.mark.parametrize("harm", ["content", "hashes", "tree", "gone"])
async def test_a_tampered_patch_fails_loudly_and_keeps_the_logs(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path, harm: str
) -> None:
    """H-5: nothing is tried on what is not as it was saved, now or later; the logs tell which step it was."""
    kept = stuck_task(new_task, marks)

    def tamper(call: str) -> None:
        if call != "change_fact hard_resets":
            return
        patch, step = kept.artifacts["patches/steps/step-0002.patch"], kept.steps[1]
        forged = kept.content[patch.digest].replace(b"index", b"xedni")
        if harm in ("content", "hashes"):
            kept.content[patch.digest] = forged
        if harm == "hashes":
            kept.steps[1] = msgspec.structs.replace(step, diff_hash=hashlib.sha256(forged).hexdigest())
        elif harm == "tree":
            kept.steps[1] = msgspec.structs.replace(step, tree_hash=kept.steps[0].tree_hash)
        elif harm == "gone":
            del kept.content[patch.digest]

    async with attempt(kept, healing, before=tamper) as recorded:
        with pytest.raises(JobFailed) as caught:
            await run_task(recorded.context)
    assert (caught.value.retryable, caught.value.failure_class) == (False, "deterministic_repo")
    assert "step 2 (step-2)" in caught.value.message
    assert story(kept)[-3:] == ["step.attempt.failed", "self_heal.escalated", "step.failed"]
    log = kept.content[kept.artifacts["logs/execute.log"].digest]
    assert b"rebuilding the workspace" in log and b"step 2 (step-2)" in log
    assert not (marks / "3").exists()
    assert origin.branches() == ["main"]


@pytest.mark.parametrize(("why", "error"), [("cancel", JobCancelled), ("release", JobReleased)])
async def test_a_cancel_during_the_replay_stops_it_cleanly(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path, why: str, error: type[Exception]
) -> None:
    """H-5: no further attempt, no half workspace, no process; the log is there."""
    kept = stuck_task(new_task, marks)
    fetched = _at_the_second_fetch(
        lambda: recorded.running.interrupt("cancel" if why == "cancel" else "release")
    )
    async with attempt(kept, healing) as recorded:
        _watch_fetches(recorded.context, fetched)
        with pytest.raises(error):
            await run_task(recorded.context)
        assert not (marks / "3").exists()
    assert "task.workspace.rebuilt" not in kept.kinds()
    assert told(kept, "step.attempt.started", "attempt")[-1] == (2,)
    assert "logs/execute.log" in kept.artifacts
    assert kept.facts["hard_resets"] == "1"
    assert not list(recorded.workspace_root.glob("worker-*"))


async def test_a_pause_during_the_replay_holds_it(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-5, H-9: it waits between two patches, and goes on from there."""
    kept = stuck_task(new_task, marks)
    async with attempt(kept, healing) as recorded:
        _watch_fetches(recorded.context, _at_the_second_fetch(lambda: recorded.wish(paused=True)))
        running = asyncio.create_task(run_task(recorded.context))
        await until(lambda: told(kept, "paused", "reason") == [("operator",)], "it is paused", timeout=60)
        assert "task.workspace.rebuilt" not in kept.kinds()
        assert not running.done()
        recorded.wish(paused=False)
        await running
    assert told(kept, "workspace.rebuilt", "finished") == [(2,)]
    assert (marks / "3").read_text() == "3\n"


async def test_a_repository_that_is_gone_ends_the_task(
    origin: Origin, healing: WorkerSettings, new_task: NewTask, marks: Path
) -> None:
    """H-2: by the class of what git says; a reset that cannot be made was used all the same."""
    away = origin.path.with_suffix(".away")
    kept = stuck_task(new_task, marks)

    def take_away(call: str) -> None:
        if call == "change_fact hard_resets":
            origin.path.rename(away)

    async with attempt(kept, healing, before=take_away) as recorded:
        with pytest.raises(JobFailed) as caught:
            await run_task(recorded.context)
    away.rename(origin.path)
    assert (caught.value.failure_class, caught.value.retryable) == ("deterministic_repo", False)
    assert "does not exist" in caught.value.message
    assert kept.facts["hard_resets"] == "1"


def _at_the_second_fetch(happen: Callable[[], object]) -> Callable[[], None]:
    """The first replay, of prepare, fetches nothing: this is in the middle of the hard reset."""
    fetches = []

    def fetched() -> None:
        fetches.append(1)
        if len(fetches) == 1:
            happen()

    return fetched


def _watch_fetches(context: object, fetched: Callable[[], None]) -> None:
    transport = context._parts.transport  # type: ignore[attr-defined]
    get = transport.get_artifact

    async def get_artifact(artifact: object, target: Path) -> None:
        await get(artifact, target)
        fetched()

    transport.get_artifact = get_artifact


async def test_it_is_not_the_first_thing_that_is_tried(healing: WorkerSettings, new_task: NewTask) -> None:
    """70-29."""
    kept = new_task("echo boom; exit 1", task={"limits": {"hardResets": 3, "stepAttempts": 4}})
    await failure(kept, healing)
    assert told(kept, "step.attempt.started", "strategy") == [
        (None,), ("soft_reset",), ("hard_reset",), ("hard_reset",),
    ]  # fmt: skip
    assert kept.facts["hard_resets"] == "2"
