"""The rows of open lists of jobs, kept up to date: what changed is read once for all who look.

A row changes where it stands. The order stays, and jobs that have come to fit since are counted, not put in
between: what somebody is about to click on does not move away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec import Struct, structs

from services.control.dashboard.board import Row
from services.control.dashboard.live_board import GAP_SECONDS, LONGEST_SECONDS
from services.control.dashboard.rendering import Pages
from sluicegate.errors import StoreError
from sluicegate.model import Job, SystemState
from sluicegate.store import jobs as job_records
from sluicegate.store import pause as pause_record
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from sluicegate.store.notices import SYSTEM, Notices, Subscription

OTHERS_READ: Final = 100
"""Of the jobs that changed and are on nobody's page: so many are looked at each time."""
MOST_COUNTED: Final = 99


class Known(Struct):
    """A job on a page. number: of the look that found this row. html: of the row, with a box or without."""

    job: Job
    row: Row
    number: int
    html: dict[bool, str] = msgspec.field(default_factory=dict[bool, str])


class LiveRows:
    """Looks once for all viewers, twice a second at most, at the jobs that changed."""

    def __init__(self, store: Store, notices: Notices, pages: Pages) -> None:
        self._store, self._notices, self._pages = store, notices, pages
        self._changes = Subscription()
        self._views: set[View] = set()
        self._watched: Counter[str] = Counter()
        self._looker: asyncio.Task[None] | None = None
        self._ended: StoreError | None = None
        self._changed = asyncio.Event()
        self._looking = asyncio.Lock()
        self.known: dict[str, Known] = {}
        self.number = 0
        self.system: SystemState | None = None
        self.system_number = 0

    @asynccontextmanager
    async def viewing(
        self, ids: Sequence[str], *, counting: JobFilter | None, ticked: bool
    ) -> AsyncIterator[View]:
        """ids: of the page's rows. counting: what the page lists, if it shows the newest of them.

        ticked: the rows have boxes to tick. Raises StoreError.
        """
        view = View(self, self._pages, tuple(ids), counting, ticked)
        self._views.add(view)
        self._watched.update(view.ids)
        try:
            # What changes from here on is noticed: so it is joined before anything is read.
            await self._notices.join(self._changes, None)
            await self._look({SYSTEM, *view.ids})
            if self._looker is None or self._looker.done():
                self._ended = None
                self._looker = asyncio.create_task(self._keep_looking(), name="live rows")
            yield view
        finally:
            self._views.discard(view)
            self._watched.subtract(view.ids)
            self._watched += Counter()  # keeps those above zero
            self.known = {job_id: known for job_id, known in self.known.items() if job_id in self._watched}
            if not self._views:
                await self._stop()

    async def news(self, number: int) -> int:
        """The number of a later look. Raises StoreError when there will be none."""
        while self.number <= number:
            if self._ended is not None:
                raise self._ended
            await self._changed.wait()
        return self.number

    async def _stop(self) -> None:
        self._notices.leave(self._changes, None)
        looker, self._looker = self._looker, None
        if looker is not None:
            looker.cancel()
            await asyncio.gather(looker, return_exceptions=True)

    async def _keep_looking(self) -> None:
        try:
            while True:
                await self._look(await self._changes.wait(LONGEST_SECONDS))
                await asyncio.sleep(GAP_SECONDS)
        except StoreError as error:
            self._ended = error
            self._wake()

    async def _look(self, changed: set[str]) -> None:
        """Read what changed, and what the clock alone has changed; one after the other, or the older wins."""
        async with self._looking:
            await self._read(changed)

    async def _read(self, changed: set[str]) -> None:
        mine = [job_id for job_id in self._watched if job_id in changed or self._is_late(job_id)]
        counting = [view for view in self._views if view.counting is not None]
        others = (
            [each for each in changed if each != SYSTEM and each not in self._watched] if counting else []
        )
        if not mine and not others and SYSTEM not in changed:
            return
        found = await job_records.read(self._store, [*mine, *others[:OTHERS_READ]])
        system = await pause_record.read(self._store) if SYSTEM in changed else self.system
        self.number += 1
        for job_id, job in zip(mine, found[: len(mine)], strict=True):
            self._note(job_id, job)
        for view in counting:
            view.count([job for job in found if job is not None])
        if system != self.system:
            self.system, self.system_number = system, self.number
        self._wake()

    def _is_late(self, job_id: str) -> bool:
        """By this host's clock it has turned stale, or has fallen due; or its lease was renewed."""
        known = self.known.get(job_id)
        return known is not None and known.row.shown != "removed" and Row.of(known.job) != known.row

    def _note(self, job_id: str, job: Job | None) -> None:
        known = self.known.get(job_id)
        if job is not None:
            row = Row.of(job)
            number = known.number if known is not None and known.row == row else self.number
            self.known[job_id] = Known(job, row, number)
        elif known is not None and known.row.shown != "removed":
            self.known[job_id] = Known(known.job, structs.replace(known.row, shown="removed"), self.number)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class View:
    """One open list. `changed` gives every row the first time, then those that changed since."""

    def __init__(
        self, rows: LiveRows, pages: Pages, ids: tuple[str, ...], counting: JobFilter | None, ticked: bool
    ) -> None:
        self.ids, self.counting = ids, counting
        self._rows, self._pages, self._ticked = rows, pages, ticked
        self._number = 0
        self._newer: set[str] = set()
        self._told = 0

    def count(self, jobs: Iterable[Job]) -> None:
        """Of these jobs those that fit the page and are not on it."""
        if self.counting is None or len(self._newer) > MOST_COUNTED:
            return
        mine = set(self.ids)
        for job in jobs:
            if job.id not in mine and self.counting.admits(job):
                self._newer.add(job.id)

    async def changed(self) -> str:
        """May be cut short and repeated: nothing is lost."""
        while True:
            number = await self._rows.news(self._number)
            seen, self._number = self._number, number
            if html := self._since(seen):
                return html

    def _since(self, seen: int) -> str:
        known = [self._rows.known[job_id] for job_id in self.ids if job_id in self._rows.known]
        parts = [self._html(each) for each in known if each.number > seen]
        if self._rows.system is not None and self._rows.system_number > seen:
            parts.append(self._pages.render("parts/strip.html", system=self._rows.system))
        if len(self._newer) != self._told:
            self._told = len(self._newer)
            parts.append(self._pages.render("parts/newer.html", newer=self._told, most=MOST_COUNTED))
        return "".join(parts)

    def _html(self, known: Known) -> str:
        if self._ticked not in known.html:
            known.html[self._ticked] = self._pages.render(
                "parts/row.html", job=known.row, ticked=self._ticked
            )
        return known.html[self._ticked]
