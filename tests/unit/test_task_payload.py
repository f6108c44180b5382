"""A task payload is refused as a whole, with every wrong field named, or it is complete."""

from typing import Any

import msgspec
import pytest

from sluicegate.errors import Invalid
from sluicegate.operations.task_payload import check, derived_capabilities, read
from sluicegate.settings import Settings

SETTINGS = Settings()


def payload(**changes: Any) -> dict[str, Any]:
    return {"repository": "acme/a", "targetRuntime": "shell", "task": {"instructions": "true"}} | changes


def task(**changes: Any) -> dict[str, Any]:
    return payload(task={"instructions": "Fix it"} | changes)


def wrong(document: dict[str, Any], settings: Settings = SETTINGS) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        check(document, settings)
    assert caught.value.code == "validation_failed"
    return {each["path"]: each["message"] for each in caught.value.extra["errors"]}


def test_the_smallest_task_is_one_step() -> None:
    """00-4: no steps means one step that is the objective; its id is step-1 (70-28)."""
    found = check(payload(), SETTINGS)
    assert [(step.id, step.instructions) for step in found.task.steps] == [("step-1", None)]
    assert (found.runtime, found.task.publish.mode) == ("shell", "branch")
    assert derived_capabilities(found) == ("git", "shell")


def test_the_second_task_costs_no_look_at_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluating them took ten times as long as the rest of the check, for each task of a batch."""
    document = task(limits={"hardResets": 1})
    found = check(document, SETTINGS)

    def fields(kind: Any) -> None:
        pytest.fail(f"the annotations of {kind} are evaluated once more")

    monkeypatch.setattr(msgspec.structs, "fields", fields)
    assert check(document, SETTINGS) == found


def test_a_full_task_is_accepted() -> None:
    """00-4: every documented field has a place."""
    skill = {"id": "review", "args": {"depth": 2}, "requiredCapabilities": ["docker"]}
    found = check(
        {
            "repository": "https://github.com/acme/a.git",
            "targetRuntime": "codex",
            "requiredCapabilities": ["git", "codex"],
            "auth": {"git": "env:GIT_TOKEN", "env": {"API_KEY": "vault:kv/agents#key", "CA": "file:/run/ca"}},
            "task": {
                "instructions": "Fix the login page\n\nMore words.",
                "skill": skill,
                "runtime": {"mode": "codex", "model": "large", "effort": "high"},
                "git": {"startingBranch": "main", "newBranch": "fix/login"},
                "publish": {
                    "mode": "pr", "prBaseBranch": "main", "commitMessage": "Fix",
                    "prTitle": "Fix", "prBody": "",
                },
                "limits": {"stepWallSeconds": 0.5},
                "steps": [{"id": "look", "title": "Look", "instructions": "Read"}, {"skill": {"id": "auto"}}],
            },
        },
        SETTINGS,
    )  # fmt: skip
    assert derived_capabilities(found) == ("codex", "docker", "gh", "git")
    assert found.required_capabilities == ["git", "codex"]  # 70-35: these win, where jobs are queued
    assert [step.id for step in found.task.steps] == ["look", "step-2"]


def test_every_wrong_field_is_named_at_once() -> None:
    """05, 422: the whole list, not the first problem only."""
    assert wrong(
        {
            "repository": "nonsense",
            "colour": "red",
            "task": {"publish": {"mode": "fax"}, "steps": [{"id": "a b"}, {"titel": "x"}]},
            "auth": {"git": "ghp_plain", "env": {"1X": "env:A", "OK": "secret", "SLUICEGATE_TOKEN": "env:A"}},
        }
    ).keys() == {
        "payload.repository",
        "payload.colour",
        "payload.task.instructions",
        "payload.task.publish.mode",
        "payload.task.steps[0].id",
        "payload.task.steps[1].titel",
        "payload.auth.git",
        "payload.auth.env.1X",
        "payload.auth.env.OK",
        "payload.auth.env.SLUICEGATE_TOKEN",
    }


@pytest.mark.parametrize("name", ["runtime", "repository", "publish", "git", "targetRuntime"])
def test_a_step_brings_none_of_the_tasks_own(name: str) -> None:
    """00-4: steps carry no runtime, repository or publish of their own."""
    found = wrong(task(steps=[{"id": "one"}, {name: "x"}]))
    assert found == {f"payload.task.steps[1].{name}": f"a step has no {name} of its own: it is the task's"}


def test_the_runtime_comes_from_one_place() -> None:
    """70-27: task.runtime.mode, else targetRuntime; both and different: 422; neither: 422."""
    mode = {"instructions": "x", "runtime": {"mode": "codex"}}
    assert check(payload(targetRuntime="codex", task=mode), SETTINGS).runtime == "codex"
    assert check({"repository": "acme/a", "task": mode}, SETTINGS).runtime == "codex"
    assert wrong(payload(task=mode)).keys() == {"payload.targetRuntime"}
    assert wrong({"repository": "acme/a", "task": {"instructions": "x"}}).keys() == {"payload.targetRuntime"}
    assert wrong(payload(targetRuntime="perl")).keys() == {"payload.targetRuntime"}


@pytest.mark.parametrize(
    ("mode", "choice", "problems"),
    [
        ("claude", {"model": "opus[1m]", "effort": "max"}, {}),
        ("codex", {"model": "arn:aws:bedrock:us-east-1:1:model/x@2", "effort": "minimal"}, {}),
        ("gemini", {"model": "gemini-3-pro-preview"}, {}),
        ("gemini", {"effort": "high"}, {"effort": "gemini takes no effort"}),
        ("codex", {"effort": "max"}, {"effort": "codex takes one of minimal, low, medium, high, xhigh"}),
        ("claude", {"effort": "High"}, {"effort": "claude takes one of low, medium, high, xhigh, max"}),
        ("shell", {"model": "m", "effort": "low"},
         {"model": "shell takes no model", "effort": "shell takes no effort"}),
    ],
)  # fmt: skip
def test_model_and_effort_are_what_the_runtime_takes(
    mode: str, choice: dict[str, str], problems: dict[str, str]
) -> None:
    """A wish that cannot be fulfilled is 422; which models there are, nobody knows here."""
    document = {"repository": "acme/a", "task": {"instructions": "x", "runtime": {"mode": mode} | choice}}
    expected = {f"payload.task.runtime.{name}": message for name, message in problems.items()}
    if not problems:
        assert check(document, SETTINGS).task.runtime.model == choice["model"]
        return
    assert wrong(document) == expected
    with pytest.raises(Invalid) as caught:
        read(document)
    assert {each["path"]: each["message"] for each in caught.value.extra["errors"]} == expected


@pytest.mark.parametrize("model", ["", "-m", "--yolo", "a b", "a\n", "x" * 257, "é", 7])
def test_a_model_is_a_name_and_never_an_option(model: object) -> None:
    assert wrong(
        payload(targetRuntime="codex", task={"instructions": "x", "runtime": {"model": model}})
    ).keys() == {"payload.task.runtime.model"}


def test_step_ids_are_unique_and_also_numbers() -> None:
    """70-28: duplicates are 422, also with a default id; step-<n> is the n-th unless one has that id."""
    assert wrong(task(steps=[{"id": "a"}, {"id": "a"}])).keys() == {"payload.task.steps[1].id"}
    assert wrong(task(steps=[{"id": "step-2"}, {}])).keys() == {"payload.task.steps[1].id"}
    found = check(task(steps=[{"id": "step-2"}, {"id": "b"}, {}]), SETTINGS)
    meant = {name: each and each.id for name in ("b", "step-2", "step-1", "step-3", "step-4", "c")
             for each in [found.step(name)]}  # fmt: skip
    assert meant == {
        "b": "b", "step-2": "step-2", "step-1": "step-2", "step-3": "step-3", "step-4": None, "c": None,
    }  # fmt: skip


@pytest.mark.parametrize("id", ["", "a/b", "a" * 129, "ä", "a\n", 7])
def test_ill_formed_step_ids(id: object) -> None:
    """70-28: ids are [A-Za-z0-9_.:-]{1,128}."""
    assert wrong(task(steps=[{"id": id}])).keys() == {"payload.task.steps[0].id"}


def test_secrets_are_references_only() -> None:
    """70-31: an auth value that is no env:, file: or vault: reference is 422, and is not repeated."""
    for value in (
        "ghp_0123456789",
        "env:",
        "env:A B",
        "file:relative",
        "file:",
        "vault:",
        "ENV:A",
        "env:A\n",
        1,
    ):
        with pytest.raises(Invalid) as caught:
            check(payload(auth={"git": value}), SETTINGS)
        assert "ghp_" not in str(caught.value.problem())
    assert wrong(payload(repository="git@github.com:acme/a", auth={"git": "env:A"})).keys() == {
        "payload.auth.git"
    }


LIMITS = {
    "stepAttempts": ("max_step_attempts", 10),
    "stepWallSeconds": ("max_step_wall_seconds", 60.0),
    "stepIdleSeconds": ("max_step_idle_seconds", 60.0),
    "noProgressLimit": ("max_no_progress_limit", 4),
    "hardResets": ("max_hard_resets", 2),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_has_its_bounds(name: str) -> None:
    """70-32: up to `SLUICEGATE_MAX_*`, above it 422; nonsense is refused, and each is named."""
    setting, most = LIMITS[name]
    settings = Settings(**{setting: most})  # type: ignore[arg-type]
    assert (
        getattr(check(task(limits={name: most}), settings).task.limits, setting.removeprefix("max_")) == most
    )
    ((path, message),) = wrong(task(limits={name: most + 1}), settings).items()
    assert path == f"payload.task.limits.{name}"
    assert message == f"is over {most:g} (SLUICEGATE_{setting.upper()})"
    for nonsense in (-1, "3", True, 0.5 if isinstance(most, int) else 0):
        assert wrong(task(limits={name: nonsense}), settings).keys() == {path}


def test_several_limits_are_named_at_once() -> None:
    found = wrong(task(limits={"stepAttempts": 99, "hardResets": 99, "stepWallSeconds": 1}))
    assert found.keys() == {"payload.task.limits.stepAttempts", "payload.task.limits.hardResets"}


def test_limits_stay_below_the_deployments() -> None:
    """70-32: above SLUICEGATE_MAX_* is 422; an unknown limit is not ignored."""
    settings = Settings(max_step_wall_seconds=60)
    assert check(task(limits={"stepWallSeconds": 60}), settings).task.limits.step_wall_seconds == 60
    found = wrong(task(limits={"stepWallSeconds": 60.5}), settings)
    assert "SLUICEGATE_MAX_STEP_WALL_SECONDS" in found["payload.task.limits.stepWallSeconds"]
    assert wrong(task(limits={"stepWallSeconds": 0})).keys() == {"payload.task.limits.stepWallSeconds"}
    assert wrong(task(limits={"stepWalSeconds": 1})).keys() == {"payload.task.limits.stepWalSeconds"}


@pytest.mark.parametrize(
    "branch", ["-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "/a", "a/", "a//b", ".a",
               "a/.b", "a.lock", "a.lock/b", "a.", "@", "a@{1}", "a\n", "", "x" * 201],
)  # fmt: skip
def test_branch_names_are_gits(branch: str) -> None:
    """A name that git refuses, or would take for an option, is 422 before anything is queued."""
    assert wrong(task(git={"newBranch": branch})).keys() == {"payload.task.git.newBranch"}


def test_controls_are_not_a_producers() -> None:
    """DESIGN 5: a payload that brings its own liveControl is refused; a claimed job has it merged in."""
    document = payload(liveControl={"paused": True})
    assert wrong(document).keys() == {"payload.liveControl"}
    assert read(document) == check(payload(), SETTINGS)


@pytest.mark.parametrize(
    "document", [{}, {"task": None}, {"task": []}, {"task": {"steps": {}}}, {"task": {"steps": [1]}}]
)
def test_shapes_that_are_no_task(document: dict[str, Any]) -> None:
    """Whatever the shape, the answer is a list of fields and never another error."""
    assert "payload.repository" in wrong(document)


def test_too_many_steps_and_blank_instructions() -> None:
    assert wrong(task(steps=[{}] * 101)).keys() == {"payload.task.steps"}
    assert wrong(task(instructions=" \n\t ")).keys() == {"payload.task.instructions"}
    assert wrong(task(instructions="a\x00b")).keys() == {"payload.task.instructions"}
