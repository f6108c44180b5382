"""The ladder of a task's attempts, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from sluicegate.cli import output
from sluicegate.operations import ladder
from sluicegate.operations.ladder import Rung

if TYPE_CHECKING:
    from sluicegate.client import Client
    from sluicegate.model import Job


async def attempts_of(client: Client, job: Job) -> list[Rung]:
    """What the job's history says of its steps; nothing for a job that is no task."""
    if job.type != "task":
        return []
    async with aclosing(client.events(job.id, follow=False)) as events:
        return ladder.climb([event async for event in events if ladder.matters(_kind(event.payload))])


def show_attempts(rungs: Sequence[Rung]) -> None:
    rows = [
        [
            f"{rung.step_index + 1} ({rung.step_id})",
            f"{rung.job_attempt}.{rung.attempt}",
            rung.tried,
            rung.outcome,
            output.MISSING if rung.seconds is None else output.span(rung.seconds),
            rung.next or "",
            ": ".join(filter(None, (rung.failure_class, rung.why))),
        ]
        for rung in rungs
    ]
    headings = ("STEP", "TRY", "TRIED", "OUTCOME", "TOOK", "THEN", "WHY")
    output.table(headings, rows, empty="No attempts.")


def _kind(payload: dict[str, object] | None) -> str:
    return str((payload or {}).get("kind", ""))
