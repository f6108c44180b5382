"""What an attempt is told of the one before it: short, and never what that one put out (H-6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.worker.heal.budgets import Allowed, Strategy

AS_IT_WAS: Final = "The files are as the failed attempt left them: look at what it did before you go on."
AS_INTERRUPTED: Final = "The files are as the last attempt left them: look at what it did before you go on."
REBUILT: Final = "The workspace is new: finished steps are in it, what failed attempts did is not."
ANOTHER_WAY: Final = "The same once more will fail once more: find out what went wrong, or go another way."
LONGEST: Final = 600
"""Characters of the summary: a paragraph."""


class RetryContext(Struct, rename="camel", frozen=True, kw_only=True):
    """The JSON file of a retry. attempt: the one that reads it."""

    objective: str
    step_id: str
    step_index: int
    step_title: str | None
    attempt: int
    strategy: Strategy
    failure_class: str | None
    failure_summary: str
    constraints: list[str]
    changed_files: list[str]
    diff_hash: str | None


def constraints(allowed: Allowed, *, failed: bool, rebuilt: bool, left: int, wish: str | None) -> list[str]:
    """What the next attempt has to live with. left: attempts after it. wish: of a person who asked for it.

    failed: whether an attempt has failed; else a person has ended the last one, or wants the step again.
    """
    then = "another one follows" if left > 0 else "no other one follows"
    return [
        *([f"A person asked for this attempt: {wish}"] if wish else []),
        REBUILT if rebuilt else AS_IT_WAS if failed else AS_INTERRUPTED,
        *([ANOTHER_WAY] if failed else []),
        f"It is stopped after {allowed.wall_seconds:g} s, or after {allowed.idle_seconds:g} s without a sign "
        f"of life. If it fails, {then}.",
    ]


def paragraph(text: str) -> str:
    """On one line, and no longer than a paragraph."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def in_words(context: RetryContext) -> str:
    """The same for the prompt of an agent."""
    before = "tried before and failed" if context.failure_class else "begun before"
    lines = [f"This step was {before}.", "", f"What happened: {context.failure_summary}"]
    if context.changed_files:
        lines += ["", "Files that were changed:", *_listed(context.changed_files)]
    return "\n".join([*lines, "", "Mind:", *_listed(context.constraints)]) + "\n"


def _listed(texts: Sequence[str]) -> list[str]:
    return [f"- {text}" for text in texts]
