"""What a task may ask for, checked as a whole before it is queued and again by the worker that runs it.

`check` is for producers' payloads and names every wrong field. `read` is for a claimed job, whose payload
has the operator's controls merged in. Both give the same `TaskPayload`, with every default filled in.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from sluicegate.errors import Invalid
from sluicegate.model import Capability, Name
from sluicegate.operations.wrong_fields import Problem, convert, fields_of, find, invalid
from sluicegate.repositories import Repository, parse
from sluicegate.runtimes import RUNTIMES, RuntimeName, refused
from sluicegate.settings import Settings

MAX_STEPS: Final = 100
NOT_A_STEPS_OWN: Final = frozenset({"runtime", "targetRuntime", "repository", "git", "publish"})
_BAD_IN_BRANCH: Final = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|\.\Z|/\Z|\A[-/.]|\A@\Z"
)

Text = Annotated[str, Meta(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", description="not blank, no NUL")]
Line = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,256}$(?!\n)", description="one line, 1 to 256 characters")
]
Model = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+\[\]-]{0,255}$(?!\n)",
        description="a model's name: letters, digits and ._:/@+[]-, not an option",
    ),
]
Branch = Annotated[str, Meta(min_length=1, max_length=200)]
StepId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$(?!\n)")]
SecretRef = Annotated[
    str, Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00]+|vault:[^\x00]+)$(?!\n)")
]
EnvName = Annotated[str, Meta(pattern=r"^(?!SLUICEGATE_)[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)")]


class _Part(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    pass


class Skill(_Part):
    """Instructions that workers keep under this name (70-61); `auto` is none."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$(?!\n)")]
    args: dict[str, Any] = {}
    required_capabilities: list[Capability] = []


class RuntimeChoice(_Part):
    mode: RuntimeName | None = None
    model: Model | None = None
    effort: Line | None = None


class GitChoice(_Part):
    starting_branch: Branch | None = None
    new_branch: Branch | None = None


class Publish(_Part):
    mode: Literal["none", "branch", "pr"] = "branch"
    pr_base_branch: Branch | None = None
    commit_message: Text | None = None
    pr_title: Line | None = None
    pr_body: Annotated[str, Meta(pattern=r"^[^\x00]*$")] | None = None


class Limits(_Part):
    """A task's own budgets, up to the deployment's `SLUICEGATE_MAX_*` (70-32)."""

    step_attempts: Annotated[int, Meta(ge=1)] | None = None
    step_wall_seconds: Annotated[float, Meta(gt=0)] | None = None
    step_idle_seconds: Annotated[float, Meta(gt=0)] | None = None
    no_progress_limit: Annotated[int, Meta(ge=2)] | None = None
    hard_resets: Annotated[int, Meta(ge=0)] | None = None


class Step(_Part):
    """One run of the runtime. Without instructions it runs the task's objective."""

    id: StepId = ""
    title: Line | None = None
    instructions: Text | None = None
    skill: Skill | None = None


class Task(_Part):
    instructions: Text
    skill: Skill | None = None
    runtime: RuntimeChoice = field(default_factory=RuntimeChoice)
    git: GitChoice = field(default_factory=GitChoice)
    publish: Publish = field(default_factory=Publish)
    limits: Limits = field(default_factory=Limits)
    steps: Annotated[list[Step], Meta(max_length=MAX_STEPS)] = []


class Auth(_Part):
    """References to secrets that the worker resolves; never the secrets themselves (70-31, 70-59)."""

    git: SecretRef | None = None
    env: dict[EnvName, SecretRef] = {}


class TaskPayload(_Part):
    repository: str
    task: Task
    target_runtime: RuntimeName | None = None
    required_capabilities: list[Name] | None = None
    auth: Auth = field(default_factory=Auth)

    @property
    def runtime(self) -> str:
        """The runtime of every step: `task.runtime.mode`, else `targetRuntime` (70-27)."""
        return self.task.runtime.mode or self.target_runtime or ""

    def step(self, reference: str) -> Step | None:
        """The step with this id; `step-<n>` also means the n-th, unless one has that very id (70-28)."""
        for each in self.task.steps:
            if each.id == reference:
                return each
        number = re.fullmatch(r"step-([1-9][0-9]{0,3})", reference)
        index = int(number[1]) - 1 if number else -1
        return self.task.steps[index] if 0 <= index < len(self.task.steps) else None


def check(payload: dict[str, Any], settings: Settings) -> TaskPayload:
    """The payload with steps and ids filled in, or Invalid (422) with one entry for each wrong field."""
    problems = _misplaced(payload) or find(payload, TaskPayload, "payload")
    repository = None
    if isinstance(named := payload.get("repository"), str):
        try:
            repository = parse(named, settings)
        except Invalid as error:
            problems += error.extra["errors"]
    if problems:
        raise invalid(problems)
    task = _numbered(msgspec.convert(payload, TaskPayload))
    problems = [
        *_runtime(task),
        *_branches(task),
        *_ids(task),
        *_limits(task, settings),
        *_auth(task, repository),
    ]
    if problems:
        raise invalid(problems)
    return task


def read(payload: dict[str, Any]) -> TaskPayload:
    """The task of a claimed job, which was checked when it was queued. Raises Invalid all the same."""
    own = {name: value for name, value in payload.items() if name != "liveControl"}
    task = _numbered(convert(own, TaskPayload, "payload"))
    if problems := _runtime(task):
        raise invalid(problems)
    return task


def derived_capabilities(payload: TaskPayload) -> tuple[str, ...]:
    """What a worker must offer when the producer did not say: runtime, git, gh for `pr`, the skills' own."""
    needed = {payload.runtime, "git"}
    if payload.task.publish.mode == "pr":
        needed.add("gh")
    for skill in (payload.task.skill, *(step.skill for step in payload.task.steps)):
        if skill is not None:
            needed.update(skill.required_capabilities)
    return tuple(sorted(needed))


def _numbered(payload: TaskPayload) -> TaskPayload:
    """No steps are one step that is the objective; a step without an id is `step-<n>` (70-28)."""
    steps = payload.task.steps or [Step()]
    named = [
        step if step.id else msgspec.structs.replace(step, id=f"step-{number}")
        for number, step in enumerate(steps, start=1)
    ]
    return msgspec.structs.replace(payload, task=msgspec.structs.replace(payload.task, steps=named))


def _misplaced(payload: dict[str, Any]) -> list[Problem]:
    """What steps must take from the task, said in those words: a step of its own runtime is a common wish."""
    task = payload.get("task")
    steps = task.get("steps") if isinstance(task, dict) else None
    return [
        {
            "path": f"payload.task.steps[{index}].{name}",
            "message": f"a step has no {name} of its own: it is the task's",
        }
        for index, step in enumerate(steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
        for name in sorted(NOT_A_STEPS_OWN & step.keys())
    ]


def _runtime(payload: TaskPayload) -> list[Problem]:
    mode, target = payload.task.runtime.mode, payload.target_runtime
    if mode and target and mode != target:
        return [_problem("targetRuntime", f"is {target!r}, but task.runtime.mode is {mode!r}")]
    if not mode and not target:
        return [
            _problem("targetRuntime", f"is required (or task.runtime.mode): one of {', '.join(RUNTIMES)}")
        ]
    choice = payload.task.runtime
    wrong = refused(payload.runtime, choice.model, choice.effort)
    return [_problem(f"task.runtime.{name}", why) for name, why in wrong.items()]


def _branches(payload: TaskPayload) -> list[Problem]:
    named = {
        "task.git.startingBranch": payload.task.git.starting_branch,
        "task.git.newBranch": payload.task.git.new_branch,
        "task.publish.prBaseBranch": payload.task.publish.pr_base_branch,
    }
    return [
        _problem(path, "is not a branch name that git accepts")
        for path, branch in named.items()
        if branch is not None and _BAD_IN_BRANCH.search(branch)
    ]


def _ids(payload: TaskPayload) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for index, step in enumerate(payload.task.steps):
        if first.setdefault(step.id, index) != index:
            message = f"{step.id!r} is the id of steps[{first[step.id]}] already"
            problems.append(_problem(f"task.steps[{index}].id", message))
    return problems


def _limits(payload: TaskPayload, settings: Settings) -> list[Problem]:
    problems = []
    for each in fields_of(Limits).values():
        wanted, bound = getattr(payload.task.limits, each.name), f"max_{each.name}"
        if wanted is not None and wanted > (most := getattr(settings, bound)):
            message = f"is over {most:g} (SLUICEGATE_{bound.upper()})"
            problems.append(_problem(f"task.limits.{each.encode_name}", message))
    return problems


def _auth(payload: TaskPayload, repository: Repository | None) -> list[Problem]:
    if payload.auth.git and repository and repository.scheme in ("ssh", "git"):
        return [_problem("auth.git", "is for https repositories; ssh uses the worker's own key")]
    return []


def _problem(path: str, message: str) -> Problem:
    return {"path": f"payload.{path}", "message": message}
