"""What a task can ask of each runtime. How one is run is the worker's (`services/worker/runtimes`).

Known where jobs are queued, so that a wish that a runtime cannot fulfil is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

from msgspec import Struct

RuntimeName = Literal["shell", "codex", "gemini", "claude"]
RUNTIMES: Final[tuple[str, ...]] = get_args(RuntimeName)
"""What a task can name. A worker that does not offer one never gets the job: each is a capability too."""


class Wishes(Struct, frozen=True, kw_only=True):
    """model: whether a task may name one; which exist is the provider's to say. efforts: those it takes."""

    model: bool = False
    efforts: tuple[str, ...] = ()


WISHES: Final[Mapping[str, Wishes]] = MappingProxyType(
    {
        "shell": Wishes(),
        "codex": Wishes(model=True, efforts=("minimal", "low", "medium", "high", "xhigh")),
        "gemini": Wishes(model=True),
        "claude": Wishes(model=True, efforts=("low", "medium", "high", "xhigh", "max")),
    }
)


def refused(runtime: str, model: str | None, effort: str | None) -> dict[str, str]:
    """Which of the two, by name, this runtime cannot take, and why."""
    takes, wrong = WISHES[runtime], {}
    if model is not None and not takes.model:
        wrong["model"] = f"{runtime} takes no model"
    if effort is not None and effort not in takes.efforts:
        allowed = f"one of {', '.join(takes.efforts)}" if takes.efforts else "no effort"
        wrong["effort"] = f"{runtime} takes {allowed}"
    return wrong
