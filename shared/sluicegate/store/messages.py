"""What operators say to the agent of a run: control events that its worker reads in order (L-6)."""

from __future__ import annotations

import msgspec

from sluicegate import keys
from sluicegate.errors import TooLarge
from sluicegate.model import ID_PATTERN, OperatorMessage
from sluicegate.store import controls, positions, words
from sluicegate.store.connection import Store
from sluicegate.store.controls import ControlEvent


async def send(store: Store, job_id: str, message: str, *, actor: str) -> ControlEvent:
    """Keep it and tell the worker; its control event.

    Raises NotFound, Conflict (job_state_conflict), TooLarge past SLUICEGATE_MAX_CONTROL_EVENTS,
    OutcomeUnknown.
    """
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    most = store.settings.max_control_events
    metadata = msgspec.json.encode({"message": message})
    reply = await store.run("message", repeatable=False, id=job_id, actor=actor, metadata=metadata, most=most)
    if reply[0] == "FULL":
        raise TooLarge(f"job {job_id} has had {most:,} control events (SLUICEGATE_MAX_CONTROL_EVENTS)")
    if not positions.is_id(reply[0]):
        raise words.refused(reply[0], job_id)
    return controls.event(
        job_id, (reply[0], ["actor", actor, "action", "message", "metadata", metadata.decode()])
    )


async def after(
    store: Store, job_id: str, known: str | None = None, *, limit: int = 200
) -> tuple[list[OperatorMessage], str | None]:
    """Messages behind one that is known, oldest first; behind which to read on, None at the end.

    A part may be short: it is of so many control events, not all of which are messages. Raises NotFound,
    Invalid.
    """
    low = positions.after_cursor(known)
    if not ID_PATTERN.match(job_id):
        raise words.refused("JOB_NOT_FOUND", job_id)
    there, entries = await store.commands(
        ("EXISTS", keys.job(job_id)), ("XRANGE", keys.job_controls(job_id), low, "+", "COUNT", limit)
    )
    if not there:
        raise words.refused("JOB_NOT_FOUND", job_id)
    found = [controls.event(job_id, entry) for entry in entries]
    said = [
        OperatorMessage(
            id=each.id,
            created_at=each.created_at,
            actor_user_id=each.actor_user_id,
            message=str(each.metadata_json.get("message", "")),
        )
        for each in found
        if each.action == "message"
    ]
    return said, found[-1].id if len(entries) == limit else None
