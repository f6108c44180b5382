"""What the page of one job shows beside its output: how it is, what became of it, what can be done."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import structs

from services.control.dashboard import actions, artifact_view
from services.control.dashboard.board import Row
from services.control.dashboard.state_line import Facts, fits, state_line
from services.control.dashboard.timelines import Timelines
from sluicegate.model import Job, SystemState
from sluicegate.operations import why
from sluicegate.store import controls, shelves, workers
from sluicegate.store import live_sessions as live_records
from sluicegate.store.connection import Store
from sluicegate.store.shelves import Artifact

RECORDING: Final = re.compile(r"^terminal/attempt-(\d{1,9})\.cast$")
CONTROLS_SHOWN: Final = 50


async def facts(store: Store, timelines: Timelines, job: Job, system: SystemState) -> Facts:
    """What its state is told from; the timeline is that of now, so use it at once."""
    row = Row.of(job)
    reasons = (await why.of(store, job)).reasons
    told = Facts(
        job=job,
        shown=row.shown,
        system=system,
        timeline=await timelines.of(job.id),
        reasons=reasons,
        steps=len(actions.task_steps(job)),
    )
    return await with_presence(store, told)


async def with_presence(store: Store, told: Facts) -> Facts:
    """The same, with what its worker says of itself now."""
    if told.shown != "running" or told.job.claimed_by is None:
        return told
    return structs.replace(told, presence=await workers.read(store, told.job.claimed_by))


async def standing(store: Store, told: Facts) -> dict[str, Any]:
    """What the parts of the page show, but for who may act."""
    job = told.job
    known = await live_records.read(store, job.id) if job.type == "task" else None
    session = known.session if known else None
    return {
        "job": job,
        "system": told.system,
        "line": state_line(told),
        "attempts": told.timeline.attempts,
        "left_out": told.timeline.left_out,
        "row": Row.of(job),
        "objective": actions.objective(job),
        "offers": actions.offered(job, told.shown),
        "steps": actions.steps(job),
        "planned": actions.task_steps(job),
        "reasons": told.reasons,
        "session": session,
        "session_offers": actions.offered_of_session(job, session),
        "controls": await controls.latest(store, job.id, CONTROLS_SHOWN),
        "artifacts": artifact_view.ordered(await shelves.artifacts(store, job.id)),
        "look": artifact_view.look,
        "fits": fits,
    }


def recordings(kept: list[Artifact]) -> list[Artifact]:
    """Of the attempts' terminals, the latest first."""
    found = [(int(name[1]), each) for each in kept if (name := RECORDING.match(each.name))]
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]
