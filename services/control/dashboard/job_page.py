"""What the page of one job shows: the job, its history, its output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from sluicegate.model import Event, EventLevel, Job
from sluicegate.operations import ladder
from sluicegate.operations.ladder import Rung
from sluicegate.store import events as job_events
from sluicegate.store import shelves
from sluicegate.store.connection import Store
from sluicegate.store.shelves import Artifact

PAGE: Final = 200
RECORDING: Final = re.compile(r"^terminal/attempt-(\d{1,9})\.cast$")
PAGES: Final = 5
HISTORY_PAGE: Final = 1000
HISTORY_PAGES: Final = 50
"""More than the limits of logs let a history have, beside what a task tells."""
_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
"""Colours, cursor movements, titles: what a terminal obeys and a page cannot."""


class Line(Struct, frozen=True, kw_only=True):
    """One event as shown: a line of the timeline, or a piece of output."""

    id: str
    created_at: str
    level: EventLevel
    kind: str
    message: str
    output: bool
    stream: str
    text: str

    @classmethod
    def of(cls, event: Event) -> Line:
        payload: dict[str, Any] = event.payload or {}
        kind = str(payload.get("kind", ""))
        stream = payload.get("stream")
        return cls(
            id=event.id,
            created_at=event.created_at,
            level=event.level,
            kind=kind,
            message=event.message,
            output=kind == "log",
            stream="stderr" if stream == "stderr" else "stdout",
            text=plain_text(str(payload.get("text", event.message))),
        )


async def latest_lines(store: Store, job_id: str) -> tuple[list[Line], bool]:
    """The job's latest events, oldest first, and whether earlier ones were left out."""
    found: list[Event] = []
    for _ in range(PAGES):
        before = found[-1].id if found else None
        part = await job_events.page(store, job_id, after=None, before=before, sort="desc", limit=PAGE)
        found += part
        if len(part) < PAGE:
            return _lines(reversed(found)), False
    return _lines(reversed(found)), True


async def rungs(store: Store, job: Job) -> list[Rung]:
    """Each attempt of a task's steps, from the job's whole history; none for a job that is no task."""
    if job.type != "task":
        return []
    told: list[Event] = []
    after = None
    for _ in range(HISTORY_PAGES):
        part = await job_events.page(store, job.id, after=after, limit=HISTORY_PAGE)
        told += [event for event in part if ladder.matters(str((event.payload or {}).get("kind", "")))]
        if len(part) < HISTORY_PAGE:
            break
        after = part[-1].id
    return ladder.climb(told)


async def recordings(store: Store, job_id: str) -> list[Artifact]:
    """Of the attempts' terminals, the latest first."""
    kept = await shelves.artifacts(store, job_id)
    found = [(int(name[1]), each) for each in kept if (name := RECORDING.match(each.name))]
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]


def plain_text(text: str) -> str:
    """Terminal output without escape sequences; a carriage return starts a new line."""
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _lines(events: Iterable[Event] | Sequence[Event]) -> list[Line]:
    return [Line.of(event) for event in events]
