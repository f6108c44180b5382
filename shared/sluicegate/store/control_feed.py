"""What operators ask of running jobs and of all workers, pushed: pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sluicegate import keys
from sluicegate.model import LiveControl, NarrowPause, Pauses, SystemState
from sluicegate.store import rendering
from sluicegate.store.connection import Store
from sluicegate.store.feed import Entry, Feed
from sluicegate.store.positions import position


class Control(NamedTuple):
    """kind: `pause` (with the new state), `narrow_pause` (with that), or `cancel`, `control` or `live` of
    this job, held under this token.
    """

    kind: str
    job_id: str | None
    worker_id: str | None
    token: int | None
    at_ms: int
    """When it was asked, by the store's clock."""
    system: SystemState | None
    live_control: LiveControl | None = None
    pause: NarrowPause | None = None
    pauses: Pauses | None = None
    """All narrower ones, where a stream over HTTP begins."""
    live_version: int = 0
    """Of the live session that has changed."""


class ControlFeed:
    """Delivers each control message once, in order, from `start` on; heartbeats carry the same facts."""

    def __init__(self, store: Store, deliver: Callable[[Control], None]) -> None:
        self._deliver_one = deliver
        self._feed = Feed(store, keys.CONTROL, self._deliver)

    async def start(self) -> None:
        await self._feed.start()

    async def stop(self) -> None:
        await self._feed.stop()

    def _deliver(self, entries: list[Entry]) -> None:
        for entry_id, fields in entries:
            token = fields.get("token")
            self._deliver_one(
                Control(
                    kind=fields["kind"],
                    job_id=fields.get("job"),
                    worker_id=fields.get("worker"),
                    token=int(token) if token else None,
                    at_ms=position(entry_id)[0],
                    system=rendering.stored_system(fields) if fields["kind"] == "pause" else None,
                    live_control=rendering.live_control(fields),
                    pause=_pause(fields),
                    live_version=int(fields.get("live", 0)),
                )
            )


def _pause(fields: dict[str, str]) -> NarrowPause | None:
    narrow = fields["kind"] == "narrow_pause"
    return rendering.narrow_pause(fields["name"], fields["record"]) if narrow else None
