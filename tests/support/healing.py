"""What a task's history says of its steps, their attempts and what was done about failures."""

from __future__ import annotations

import json
from typing import Any

from tests.support.recorded_context import Kept

HEALING = ("task.step.", "task.self_heal.", "task.workspace.", "task.resume.", "task.paused", "task.resumed")


def story(kept: Kept, since: int = 0) -> list[str]:
    """The events of steps and healing in order, without their prefix. since: events to leave out."""
    kinds = [str(event.payload["kind"]) for event in kept.events[since:] if event.payload]
    return [kind.removeprefix("task.") for kind in kinds if kind.startswith(HEALING)]


def told(kept: Kept, kind: str, *names: str) -> list[tuple[Any, ...]]:
    """These fields of each such event."""
    return [tuple(payload.get(name) for name in names) for payload in kept.told(f"task.{kind}")]


def record(kept: Kept, name: str) -> dict[str, Any]:
    """What an artifact of self-heal says."""
    stored = kept.artifacts[f"state/self_heal/{name}"]
    content: dict[str, Any] = json.loads(kept.content[stored.digest])
    return content
