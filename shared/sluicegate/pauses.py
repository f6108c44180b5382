"""Narrower pauses: their names in the store, how claims know them, and whom they hold back (P-12).

A name is `<scope>=<value>`, the value in the encoding of lanes' names.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from sluicegate.model import Job, NarrowPause, PauseScope, encoded

SCOPES: Final[tuple[PauseScope, ...]] = ("type", "repository", "capability", "worker")
MOST: Final = 100
"""In force at a time."""


def name_of(scope: PauseScope, value: str) -> str:
    return f"{scope}={encoded(value)}"


class Marks(NamedTuple):
    """The pauses as claims know them, by name. lifted: what they held back is still being given back."""

    in_force: frozenset[str]
    lifted: frozenset[str]

    @classmethod
    def of_text(cls, text: str) -> Self:
        """text: `|type=a|-capability=gpu|`, empty for none."""
        names = [name for name in text.split("|") if name]
        return cls(
            frozenset(name for name in names if not name.startswith("-")),
            frozenset(name.removeprefix("-") for name in names if name.startswith("-")),
        )


def names_of(lane: str) -> list[str]:
    """The names of the pauses that would hold back a lane, by its name in the store."""
    _, kind, repository, capabilities, _ = lane.split("|")
    names = [f"type={kind}"]
    if repository:
        names.append(f"repository={repository}")
    return names + [f"capability={each}" for each in capabilities.split(",") if each]


def holds(pause: NarrowPause, job: Job, worker_id: str | None) -> bool:
    """Whether a pause is one of this job, or of the worker that runs it."""
    match pause.scope:
        case "type":
            return job.type == pause.value
        case "repository":
            return job.repository == pause.value
        case "capability":
            return pause.value in job.required_capabilities
    return worker_id == pause.value
