"""Histories as they grow: one reader per process, for any number of followers (Q-6).

The reader learns from the notices which jobs changed, reads what is new in their histories, of many jobs in
one call, and makes of each event, once, what all followers get of it. A follower is a place in its job's
history and nothing more: what lies behind its place it takes from what was read last, or, if it lags behind
that, from the store. So it misses nothing and gets nothing twice however slow it is, and its slowness costs
nobody else time or memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence, Sized
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sluicegate import keys
from sluicegate.errors import NotFound
from sluicegate.log import log
from sluicegate.model import TERMINAL, Event
from sluicegate.store import events, positions
from sluicegate.store.connection import MAX_ITEMS, Store
from sluicegate.store.notices import Notices, Subscription
from sluicegate.store.positions import BEFORE_ALL, Position, position

KEPT_BYTES: Final = 256 * 1024
"""Of one job, for those of its followers that lag behind; who lags further reads the store."""
PAGE: Final = 100
"""Events that one read takes of one job."""
LOOK_SECONDS: Final = 10.0
"""So often each followed job is looked at though no notice of it came: they may be lost with a connection."""


Frame = TypeVar("Frame", bound=Sized)
"""What followers get of an event; its length is what it takes in memory, in bytes or so."""


class LiveEvents(Generic[Frame]):
    """Make one per process. frame: an event as its followers get it."""

    def __init__(self, store: Store, notices: Notices, frame: Callable[[Event], Frame]) -> None:
        self.store = store
        self.frame = frame
        self._notices = notices
        self._changes = Subscription()
        self._jobs: dict[str, _FollowedJob[Frame]] = {}
        self._reader: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def follow(
        self, job_id: str, after: str | None = None, *, named: str = "after"
    ) -> AsyncIterator[Follower[Frame]]:
        """A follower that goes on behind `after`: an event id, a time, `now`, or None for everything.

        Raises NotFound (job_not_found), Invalid (`named`) for what nobody can go on behind, StoreError.
        """
        if (job := self._jobs.get(job_id)) is None:
            job = self._jobs[job_id] = _FollowedJob[Frame](job_id)
        job.followers.add(follower := Follower(self, job))
        try:
            await self._notices.join(self._changes, job_id)
            await self._place(follower, job, after, named)
            if self._reader is None:
                self._reader = asyncio.create_task(self._read(), name="live events")
            yield follower
        finally:
            job.followers.discard(follower)
            if not job.followers:
                self._forget(job)

    @property
    def followed(self) -> int:
        """How many jobs somebody follows."""
        return len(self._jobs)

    @property
    def kept_bytes(self) -> int:
        """What is kept of all jobs for followers that lag behind."""
        return sum(job.kept_bytes for job in self._jobs.values())

    async def close(self) -> None:
        """End the reading, also that of the notices."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._notices.close()

    async def _place(
        self, follower: Follower[Frame], job: _FollowedJob[Frame], after: str | None, named: str
    ) -> None:
        newest = await events.newest(self.store, job.id)
        if after == "now":
            follower.at = newest
        elif after is not None:
            follower.at = positions.after(named, after)
            await events.require_past(self.store, named, after, newest)
        if not job.started:
            job.start(newest)
            # Its status is not known yet, and a notice may have come while its newest event was looked up.
            self._changes.add([job.id])

    def _forget(self, job: _FollowedJob[Frame]) -> None:
        if self._jobs.get(job.id) is job:
            del self._jobs[job.id]
            self._notices.leave(self._changes, job.id)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + LOOK_SECONDS
        while True:
            changed = await self._changes.wait(look_at - loop.time())
            if loop.time() >= look_at:
                changed = set(self._jobs)
                look_at = loop.time() + LOOK_SECONDS
            found = [job for job_id in changed if (job := self._jobs.get(job_id)) and job.started]
            for start in range(0, len(found), MAX_ITEMS):
                await self._look(found[start : start + MAX_ITEMS])

    async def _look(self, jobs: Sequence[_FollowedJob[Frame]]) -> None:
        """A failure is told to those who follow: they cannot know otherwise that what they see is old."""
        try:
            for job, news in zip(jobs, await _news(self.store, jobs), strict=True):
                job.take_in(news, [self.frame(event) for event in news.events])
                if news.more:
                    self._changes.add([job.id])
        except Exception as error:  # noqa: BLE001 - of whatever kind: nobody may wait for what will not come
            log.warning("live_events.failed", error=error, jobs=len(jobs))
            for job in jobs:
                self._forget(job)
                job.fail(error)


class Follower(Generic[Frame]):
    """A place in the history of one job. `take` and `more` raise what keeps the history from being read."""

    def __init__(self, live: LiveEvents[Frame], job: _FollowedJob[Frame]) -> None:
        self._live = live
        self._job = job
        self.at = BEFORE_ALL

    @property
    def place(self) -> str:
        """Behind what it goes on, as `follow` takes it."""
        return positions.entry_id(self.at)

    @property
    def over(self) -> bool:
        """The job has ended or is gone, and everything was taken."""
        return self._job.status is None or (
            self._job.complete and self._job.status in TERMINAL and self.at >= self._job.newest
        )

    @property
    def status(self) -> str | None:
        """The job's, as far as it was read; None for one that was removed."""
        return self._job.status

    async def take(self) -> list[Frame]:
        """What comes next, in order, up to a page or so; empty if there is nothing just now, or no more."""
        if self.at < self._job.kept_from:
            return await self._page()
        frames = self._job.behind(self.at)
        if frames:
            self.at = self._job.newest
        return frames

    async def more(self) -> None:
        """Return once there is something to take, or it is over. May be cut short."""
        while self._job.failure is None and not self.over and self.at >= self._job.newest:
            await self._job.changed.wait()
        if self._job.failure is not None:
            raise self._job.failure

    async def _page(self) -> list[Frame]:
        try:
            page = await events.between(self._live.store, self._job.id, self.at, limit=PAGE)
        except NotFound:
            self._job.status = None
            return []
        if not page:  # a store that lost its latest events in a crash
            self.at = self._job.kept_from
            return []
        self.at = position(page[-1].id)
        return [self._live.frame(event) for event in page]


class _News(NamedTuple):
    """What was read of one job behind a place. status: None, it is gone. more: the page was full."""

    status: str | None
    events: list[Event]
    more: bool


class _FollowedJob(Generic[Frame]):
    """What was read last of one job: the events behind `kept_from`, up to `newest`."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.followers: set[Follower[Frame]] = set()
        self.started = False
        self.newest = self.kept_from = BEFORE_ALL
        self.status: str | None = "queued"
        self.complete = False
        self.failure: Exception | None = None
        self.changed = asyncio.Event()
        self._places: list[Position] = []
        self._frames: list[Frame] = []

    @property
    def kept_bytes(self) -> int:
        return sum(map(len, self._frames))

    def start(self, newest: Position) -> None:
        """From here on what happens is read for all; what came before, each follower reads for itself."""
        self.newest = self.kept_from = newest
        self.started = True

    def take_in(self, news: _News, frames: Sequence[Frame]) -> None:
        self.status, self.complete = news.status, not news.more
        if frames:
            self._drop(self._passed())
            self._places += [position(event.id) for event in news.events]
            self._frames += frames
            self.newest = self._places[-1]
            self._drop(self._too_much())
        self._wake()

    def behind(self, place: Position) -> list[Frame]:
        return self._frames[bisect_right(self._places, place) :] if place < self.newest else []

    def fail(self, error: Exception) -> None:
        self.failure = error
        self._wake()

    def _passed(self) -> int:
        """How many of the kept ones everybody has."""
        slowest = min((follower.at for follower in self.followers), default=self.newest)
        return bisect_right(self._places, slowest)

    def _too_much(self) -> int:
        """How many of the oldest are beyond what is kept for those that lag behind."""
        room = KEPT_BYTES
        for at in range(len(self._frames) - 1, -1, -1):
            room -= len(self._frames[at])
            if room < 0:
                return at + 1
        return 0

    def _drop(self, oldest: int) -> None:
        if oldest:
            self.kept_from = self._places[oldest - 1]
            del self._places[:oldest], self._frames[:oldest]

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


async def _news(store: Store, jobs: Sequence[_FollowedJob[Any]]) -> list[_News]:
    """One call for all. The status first: a job that has ended by then has all its events by then."""
    commands = []
    for job in jobs:
        commands += [
            ("HGET", keys.job(job.id), "status"),
            ("XRANGE", keys.job_events(job.id), positions.low(job.newest), "+", "COUNT", PAGE),
        ]
    replies = await store.commands(*commands)
    return [
        _News(status, [events.stored_event(job.id, entry) for entry in entries], len(entries) == PAGE)
        for job, status, entries in zip(jobs, replies[::2], replies[1::2], strict=True)
    ]
