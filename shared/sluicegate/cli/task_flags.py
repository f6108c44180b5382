"""The flags of `sluicegate enqueue` that say what a task is, and their way into its payload."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from sluicegate.runtimes import RUNTIMES

Command = Callable[..., Any]
Document = dict[str, Any]

PLACES: Final = {
    "repo": ("repository",),
    "runtime": ("task", "runtime", "mode"),
    "instructions": ("task", "instructions"),
    "model": ("task", "runtime", "model"),
    "effort": ("task", "runtime", "effort"),
    "branch": ("task", "git", "newBranch"),
}
"""Where each stands in a task's payload."""


def task_flags(command: Command) -> Command:
    for option in (
        click.option("--branch", metavar="NAME", help="Branch for the task's result; else one is made up."),
        click.option("--effort", metavar="LEVEL", help="Effort of the task's runtime, like `high`."),
        click.option("--model", metavar="NAME", help="Model of the task's runtime."),
        click.option(
            "--instructions", metavar="TEXT|@FILE", help="What the task is to do; for `shell`, the script."
        ),
        click.option("--runtime", type=click.Choice(RUNTIMES), help="What runs the task's steps."),
        click.option(
            "--repo", metavar="REPOSITORY", help="A task on this repository: owner/name, a URL, or a path."
        ),
    ):
        command = option(command)
    return command


def taken_from(flags: Document, read: Callable[[str], str]) -> dict[str, str]:
    """Takes the flags of a task out of all of them; only those that were given.

    read: the text of a file, for instructions that name one.
    """
    task = {name: flags.pop(name) for name in PLACES}
    if (text := task["instructions"]) is not None and text.startswith("@"):
        task["instructions"] = read(text.removeprefix("@"))
    if (place := task["repo"]) is not None and place.startswith((".", "~")):
        task["repo"] = str(Path(place).expanduser().resolve())
    return {name: value for name, value in task.items() if value is not None}


def put_into(job: Document, task: dict[str, str]) -> Document:
    """The job with these in its payload. What is in their way is left for the server to refuse."""
    payload: Any = copy.deepcopy(job.get("payload", {}))
    for name, value in task.items():
        *folders, field = PLACES[name]
        place = payload
        for folder in folders:
            place = place.setdefault(folder, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[field] = value
    if "runtime" in task and isinstance(payload, dict):
        payload.pop("targetRuntime", None)  # it says the same, or the contrary
    return job | {"payload": payload} if task else job
