"""Which jobs changed: one reader of the notices per process, for any number of subscribers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from sluicegate import keys
from sluicegate.store.connection import Store
from sluicegate.store.feed import Entry, Feed

SYSTEM = "system"
"""Stands for the pause state among the ids of a subscription."""


class Subscription:
    """What changed since the last look, coalesced: never more than one entry per job."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._rung = asyncio.Event()

    def add(self, job_ids: Iterable[str]) -> None:
        self._changed.update(job_ids)
        self._rung.set()

    async def wait(self, timeout_seconds: float) -> set[str]:
        """The ids that changed since the last call; waits for the first one; empty after the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        self._rung.clear()
        changed, self._changed = self._changed, set()
        return changed


class Notices:
    """Start one per process; the blocking reader starts with the first subscriber."""

    def __init__(self, store: Store) -> None:
        self._feed = Feed(store, keys.EVENTS, self._deliver)
        self._by_job: dict[str | None, set[Subscription]] = {}

    async def close(self) -> None:
        await self._feed.stop()

    @contextlib.asynccontextmanager
    async def subscribe(self, job_id: str | None = None) -> AsyncIterator[Subscription]:
        """From entry on, every change of the job (None: of every job and of the pause state) is seen."""
        subscription = Subscription()
        try:
            await self.join(subscription, job_id)
            yield subscription
        finally:
            self.leave(subscription, job_id)

    async def join(self, subscription: Subscription, job_id: str | None) -> None:
        """`subscribe`, for a subscription to many jobs; ends with `leave`, also when this raises."""
        self._by_job.setdefault(job_id, set()).add(subscription)
        await self._feed.start()

    def leave(self, subscription: Subscription, job_id: str | None) -> None:
        """Twice is once."""
        subscriptions = self._by_job.get(job_id, set())
        subscriptions.discard(subscription)
        if not subscriptions:
            self._by_job.pop(job_id, None)

    def _deliver(self, entries: list[Entry]) -> None:
        for _, fields in entries:
            job_ids = fields["jobs"].split(",")
            for subscription in self._by_job.get(None, ()):
                subscription.add(job_ids)
            for job_id in job_ids:
                for subscription in self._by_job.get(job_id, ()):
                    subscription.add([job_id])
