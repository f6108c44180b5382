"""What operators do to all workers or a part of them, and who did what: a part of `Client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import msgspec

from sluicegate.client.answers import Metrics
from sluicegate.client.transport import Transport
from sluicegate.model import Pauses
from sluicegate.operations.answers import Listed

if TYPE_CHECKING:
    from sluicegate.operations.pause import PauseStatus
    from sluicegate.store.audit import AuditEntry


class Pausing:
    """Errors are the same over either transport. A pause or resume whose answer is lost is not sent again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @overload
    async def pause(
        self, mode: str, reason: str, *, until: str | None = None, expected_version: int | None = None
    ) -> PauseStatus: ...
    @overload
    async def pause(
        self,
        mode: str,
        reason: str,
        *,
        scope: str,
        value: str,
        until: str | None = None,
        expected_version: int | None = None,
    ) -> Pauses: ...
    async def pause(
        self,
        mode: str,
        reason: str,
        *,
        scope: str | None = None,
        value: str | None = None,
        until: str | None = None,
        expected_version: int | None = None,
    ) -> PauseStatus | Pauses:
        """Stop workers from starting jobs: `drain` lets running ones end, `quiesce` holds them.

        scope: type, repository, capability or worker, to stop only what is of this `value`; the answer is
        then what is paused so. until: a time (RFC 3339) at which it ends by itself.
        Raises BadRequest naming the field, Conflict: pause_unchanged, version_conflict, too_many_pauses.
        """
        fields = {"mode": mode, "reason": reason, "until": until, "expectedVersion": expected_version}
        if scope is None and value is None:
            return await self._transport.change_pause(_call("pause", fields))
        return await self._transport.change_pauses(_call("pause", fields | {"scope": scope, "value": value}))

    @overload
    async def resume(
        self, force: bool = False, reason: str | None = None, *, expected_version: int | None = None
    ) -> PauseStatus: ...
    @overload
    async def resume(
        self, *, scope: str, value: str, reason: str | None = None, expected_version: int | None = None
    ) -> Pauses: ...
    async def resume(
        self,
        force: bool = False,
        reason: str | None = None,
        *,
        scope: str | None = None,
        value: str | None = None,
        expected_version: int | None = None,
    ) -> PauseStatus | Pauses:
        """Let the workers go on. Raises Conflict `not_drained` while jobs run, unless forced.

        scope, value: as for `pause`; what is paused so goes on whatever runs.
        """
        fields = {"reason": reason, "expectedVersion": expected_version}
        if scope is None and value is None:
            return await self._transport.change_pause(_call("resume", fields | {"forceResume": force}))
        return await self._transport.change_pauses(_call("resume", fields | {"scope": scope, "value": value}))

    async def pauses(self) -> Pauses:
        """The pauses of one type, repository, capability or worker that are in force (P-12)."""
        return await self._transport.pauses()

    async def pause_state(self) -> PauseStatus:
        """The pause of all workers, what still runs, what holds up a drain, and the latest changes."""
        return await self._transport.pause_status()

    async def counts(self) -> Metrics:
        """Exact numbers of waiting, delayed, running and stale jobs, read in one step (P-10)."""
        return Metrics.of(await self._transport.pause_status())

    async def audit(
        self,
        *,
        control: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        target: str | None = None,
        since: str | None = None,
        until: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Listed[AuditEntry]:
        """One page of who did what, newest first; `cursor` is the `next_cursor` of the page before.

        Only entries that fit all that is given. target: the id of a job or token, or what a pause is of, like
        `type:task`. since, until: times (RFC 3339), the first within what is meant, the second not. A page
        may be short before the end (70-57). Raises Invalid naming the field.
        """
        given = {
            "control": control,
            "action": action,
            "actor": actor,
            "target": target,
            "since": since,
            "until": until,
            "cursor": cursor,
            "limit": limit,
        }
        return await self._transport.audit(
            {name: str(value) for name, value in given.items() if value is not None}
        )


def _call(action: str, fields: dict[str, Any]) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode({"action": action, **given})
