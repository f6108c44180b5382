"""An operator's hand on one run: `client.runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sluicegate.client.ids import checked
from sluicegate.client.transport import Transport
from sluicegate.model import Job, LiveProvider, LiveSession, RecoveryStrategy
from sluicegate.operations.answers import Listed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sluicegate.client.terminal import RemoteTerminal
    from sluicegate.operations.live_sessions import GrantAnswer
    from sluicegate.store.controls import ControlEvent


class Runs:
    """Pause one run, take it over, let it go on, send it back to a step, speak to its agent, watch and type.

    Each action returns the job as it is then. What is so already stays as it is. Raises NotFound, Invalid,
    and Conflict (job_state_conflict) when the job has ended, is being cancelled, or waits and a step is
    meant. A lost answer is OutcomeUnknown: look.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def pause(self, job_id: str, *, hard: bool = False, reason: str | None = None) -> Job:
        """It waits at its next checkpoint; hard: all its processes are stopped at once."""
        return await self._control(job_id, action="pause", hard=hard, reason=reason)

    async def takeover(self, job_id: str, *, reason: str | None = None) -> Job:
        """A pause in which a person works in the run's place; it ends with `resume`."""
        return await self._control(job_id, action="takeover", reason=reason)

    async def resume(self, job_id: str, *, summary: str | None = None, reason: str | None = None) -> Job:
        """It goes on. summary: what was done meanwhile, for the agent's next prompt."""
        return await self._control(job_id, action="resume", summary=summary, reason=reason)

    async def retry_step(
        self,
        job_id: str,
        step_id: str,
        *,
        strategy: RecoveryStrategy | None = None,
        reason: str | None = None,
    ) -> Job:
        """Run the step again: in the same files (soft_reset, if none is given), or in rebuilt ones."""
        return await self._control(
            job_id, action="retry_step", stepId=step_id, strategy=strategy, reason=reason
        )

    async def hard_reset_step(
        self, job_id: str, step_id: str | None = None, *, reason: str | None = None
    ) -> Job:
        """Run the step, or the one at hand, again in rebuilt files."""
        return await self._control(job_id, action="hard_reset_step", stepId=step_id, reason=reason)

    async def resume_from_step(self, job_id: str, step_id: str, *, reason: str | None = None) -> Job:
        """Drop what is finished from this step on, and go on there."""
        return await self._control(job_id, action="resume_from_step", stepId=step_id, reason=reason)

    async def control_events(
        self, job_id: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Listed[ControlEvent]:
        """One page of what operators did to the run, oldest first."""
        given = {"cursor": cursor, "limit": limit}
        query = {name: str(value) for name, value in given.items() if value is not None}
        return await self._transport.control_events(checked(job_id), query)

    async def message(self, job_id: str, text: str) -> ControlEvent:
        """Say something to the agent: at once into its inbox, and with its next prompt.

        Raises NotFound, Invalid (blank), TooLarge, Conflict (job_state_conflict). A lost answer is
        OutcomeUnknown: look at `control_events`.
        """
        return await self._transport.message(checked(job_id), msgspec.json.encode({"message": text}))

    async def live_session(self, job_id: str) -> LiveSession:
        """The run's newest one. Raises NotFound (job_not_found, live_session_not_found)."""
        return (await self._transport.live_session(checked(job_id))).session

    async def open_live_session(self, job_id: str, provider: LiveProvider | None = None) -> LiveSession:
        """Have one opened; one that is open stays. `live_session` tells when it is ready.

        Raises NotFound, TooLarge, Conflict: the run has ended, or one of another kind is open.
        """
        call = {} if provider is None else {"provider": provider}
        return (await self._transport.open_live_session(checked(job_id), msgspec.json.encode(call))).session

    async def grant_write(self, job_id: str, minutes: int | None = None) -> GrantAnswer:
        """Type into it until then; the ways to do so. Again, it lasts so long from now on.

        Raises NotFound, TooLarge, Invalid (live_session_state_conflict: it is not ready).
        """
        call = {} if minutes is None else {"ttlMinutes": minutes}
        return await self._transport.grant_write(checked(job_id), msgspec.json.encode(call))

    def terminal(self, job_id: str) -> AbstractAsyncContextManager[RemoteTerminal]:
        """Watch the run's terminal, and type into it under a grant: open inside the block.

        Raises NotFound (job_not_found, live_session_not_found), Busy when as many watch as may, and
        ConfigurationError for a client that has no API to ask.
        """
        return self._transport.terminal(checked(job_id))

    async def revoke(self, job_id: str, *, reason: str | None = None) -> LiveSession:
        """End the session for everyone, at once. Raises NotFound, Conflict (it is over)."""
        call = {} if reason is None else {"reason": reason}
        return (await self._transport.revoke_live_session(checked(job_id), msgspec.json.encode(call))).session

    async def _control(self, job_id: str, **fields: Any) -> Job:
        call = {name: value for name, value in fields.items() if value is not None}
        return await self._transport.control(checked(job_id), msgspec.json.encode(call))
