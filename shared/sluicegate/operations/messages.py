"""What an operator says to an agent, the same on every surface (L-6)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sluicegate.auth.identity import Identity
from sluicegate.errors import Invalid, TooLarge
from sluicegate.model import OperatorMessage
from sluicegate.operations import access
from sluicegate.operations.answers import Listed
from sluicegate.operations.calls import Call, PageQuery
from sluicegate.store import messages
from sluicegate.store.connection import Store
from sluicegate.store.controls import ControlEvent


class MessageCall(Call):
    message: Annotated[str, Meta(description="for the agent; at most SLUICEGATE_MAX_MESSAGE_BYTES")]


async def send(store: Store, job_id: str, call: MessageCall, *, actor: str) -> ControlEvent:
    """Give it to the agent: at once into its inbox, and with its next prompt.

    Raises Invalid (blank), TooLarge, NotFound, Conflict (the run has ended, or is being cancelled).
    """
    if not call.message.strip():
        raise Invalid.field("message", "is empty")
    most = store.settings.max_message_bytes
    if (size := len(call.message.encode())) > most:
        raise TooLarge(f"the message has {size:,} bytes; {most:,} are allowed (SLUICEGATE_MAX_MESSAGE_BYTES)")
    return await messages.send(store, job_id, call.message, actor=actor)


async def page(store: Store, who: Identity, job_id: str, asked: PageQuery) -> Listed[OperatorMessage]:
    """What was said to the agent, oldest first, for its worker. A page may be short. cursor: a message's id.

    Raises NotFound, Forbidden (job_not_authorized), Invalid (cursor).
    """
    await access.require_job(store, who, job_id)
    found, cursor = await messages.after(store, job_id, asked.cursor, limit=asked.limit)
    return Listed(items=found, next_cursor=cursor)
