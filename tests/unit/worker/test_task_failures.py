"""Each rule that classifies a failure, by what the tools really say (H-3, 70-30)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.worker.task import failures
from services.worker.task.failures import GH_RULES, GIT_RULES, classify, failed, git_says, last_words
from sluicegate.settings import WorkerSettings
from tests.support.tasks import NewTask, failure, run

GIT_SAYS = {
    "fatal: repository '/x/missing.git' does not exist": "deterministic_repo",
    "remote: Repository not found.\nfatal: repository 'https://h/a/b.git/' not found": "deterministic_repo",
    "ERROR: Repository not found.\nfatal: Could not read from remote repository.": "deterministic_repo",
    "fatal: not a git repository (or any of the parent directories): .git": "deterministic_repo",
    "fatal: '/tmp/x' does not appear to be a git repository": "deterministic_repo",
    "fatal: couldn't find remote ref nope": "deterministic_repo",
    "fatal: remote error: upload-pack: not our ref 0123": "deterministic_repo",
    "error: Server does not allow request for unadvertised object 0123": "deterministic_repo",
    "fatal: Remote branch x not found in upstream origin": "deterministic_repo",
    "!\trefs/heads/x:refs/heads/x\t[rejected] (non-fast-forward)": "deterministic_repo",
    "!\t0123:refs/heads/x\t[remote rejected] (pre-receive hook declined)": "deterministic_repo",
    "remote: Permission to a/b.git denied to c.\nfatal: unable to access 'https://github.com/a/b/': "
    "The requested URL returned error: 403": "deterministic_policy",
    "fatal: Authentication failed for 'https://github.com/a/b.git/'": "deterministic_policy",
    "fatal: could not read Username for 'https://h': terminal prompts disabled": "deterministic_policy",
    "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.":
        "deterministic_policy",
    "Host key verification failed.\nfatal: Could not read from remote repository.": "deterministic_policy",
    "fatal: transport 'ext' not allowed": "deterministic_policy",
    "fatal: detected dubious ownership in repository at '/x'": "deterministic_policy",
    "!\trefs/heads/x:refs/heads/x\t[rejected] (stale info)": "transient_runtime",
    "fatal: unable to access 'https://h/': Could not resolve host: h": "transient_runtime",
    "ssh: connect to host h port 22: Connection timed out": "transient_runtime",
    "fatal: unable to access 'https://h/': Failed to connect to h: Connection refused": "transient_runtime",
    "error: RPC failed; Recv failure: Connection reset by peer\nfatal: early EOF": "transient_runtime",
    "fatal: unable to access 'https://h/': The requested URL returned error: 502": "transient_runtime",
    "fatal: the remote end hung up unexpectedly": "transient_runtime",
    "fatal: something that nobody has seen before": "transient_runtime",
}  # fmt: skip


@pytest.mark.parametrize("said", GIT_SAYS)
def test_what_git_says(said: str) -> None:
    """70-30: permanent problems end the job, others come back; an unknown one is transient."""
    assert classify(said, GIT_RULES) == GIT_SAYS[said]


def test_each_git_rule_has_a_case() -> None:
    """H-3: rules are data, each with a test: without the rule one of the cases would come out otherwise."""
    for rule in GIT_RULES:
        rest = tuple(each for each in GIT_RULES if each is not rule)
        changed = [said for said, meant in GIT_SAYS.items() if classify(said, rest) != meant]
        if rule.failure_class != "transient_runtime":
            assert changed, rule


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("HTTP 502: Bad Gateway (https://api.github.com/graphql)", "transient_runtime"),
        ("HTTP 401: Bad credentials (https://api.github.com/graphql)", "deterministic_policy"),
        ("GraphQL: Resource not accessible by personal access token", "deterministic_policy"),
        ("GraphQL: Could not resolve to a Repository with the name 'a/b'.", "deterministic_repo"),
        ("HTTP 422: Validation Failed", "deterministic_repo"),
    ],
)
def test_what_gh_says(said: str, meant: str) -> None:
    assert classify(said, GH_RULES) == meant


def test_only_transient_failures_come_back() -> None:
    """H-3: deterministic classes are not retryable; messages are bounded."""
    assert failed("x", "transient_runtime").retryable
    for each in ("deterministic_contract", "deterministic_policy", "deterministic_repo"):
        assert not failed("x", each).retryable  # type: ignore[arg-type]
    assert len(failed("x" * 5000, "transient_runtime").message) == failures.MAX_MESSAGE


def test_the_words_that_are_told() -> None:
    """Git's complaint without its progress; the last line of a step that means something, without colours."""
    assert (
        git_says(b"Cloning into 'x'...\rReceiving 1%\rhint: try\nremote: no\nfatal: never\n")
        == "remote: no; fatal: never"
    )
    assert git_says(b"ssh: no route\n") == "ssh: no route"
    assert last_words(b"first\n\x1b[31mAssertionError: 1\x1b[0m\r\n-----\n\n") == "AssertionError: 1"
    assert last_words(b"10%\r50%\rdone \xff\n") == "done \ufffd"
    assert last_words(b"\n---\n") == ""


async def test_a_payload_that_is_no_task(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-3: payload and schema problems are deterministic_contract, whoever put them into the queue."""
    kept = new_task("true")
    kept.job = msgspec.structs.replace(kept.job, payload={"repository": "/x", "task": {}})
    error = await failure(kept, worker_settings)
    assert (error.retryable, error.failure_class) == (False, "deterministic_contract")
    assert "payload.task.instructions" in error.message


async def test_a_runtime_that_is_not_here(worker_settings: WorkerSettings, new_task: NewTask) -> None:
    """H-3: a missing capability is deterministic_policy."""
    error = await failure(new_task("Do it", targetRuntime="codex"), worker_settings)
    assert (error.message, error.failure_class) == (
        "this worker has no runtime 'codex'",
        "deterministic_policy",
    )


async def test_skills_stand_before_the_prompt(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-61: SKILL.md with its args is put before the prompt; `auto` is none; the script stays as it is."""
    (tmp_path / "skills" / "review").mkdir(parents=True)
    (tmp_path / "skills" / "review" / "SKILL.md").write_text("Be thorough.\n")
    settings = msgspec.structs.replace(worker_settings, skills_dir=tmp_path / "skills")
    steps = [
        {"instructions": "cat $SLUICEGATE_PROMPT_FILE"},
        {"instructions": "cat $SLUICEGATE_PROMPT_FILE", "skill": {"id": "auto"}},
    ]
    skill = {"id": "review", "args": {"depth": 2}}
    kept = new_task(task={"skill": skill, "steps": steps, "publish": {"mode": "none"}})
    await run(kept, settings)
    first, second = (kept.content[kept.artifacts[f"logs/steps/step-000{n}.log"].digest] for n in (1, 2))
    assert first.replace(b"\r", b"").startswith(b'Be thorough.\n\nArguments: {"depth":2}\n\nObjective:\n')
    assert second.startswith(b"Objective:")


async def test_an_unknown_skill_ends_the_task_before_any_step(
    tmp_path: Path, worker_settings: WorkerSettings, new_task: NewTask
) -> None:
    """70-61: deterministic_contract, before any step."""
    for settings in (worker_settings, msgspec.structs.replace(worker_settings, skills_dir=tmp_path)):
        kept = new_task(task={"steps": [{"skill": {"id": "nobody-knows"}}]})
        error = await failure(kept, settings)
        assert "nobody-knows" in error.message
        assert (error.retryable, error.failure_class) == (False, "deterministic_contract")
        assert "task.step.started" not in kept.kinds()
