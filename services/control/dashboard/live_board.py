"""The overview, kept up to date for all its viewers by one task that lives while anyone looks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import json

from services.control.dashboard.board import Board
from services.control.dashboard.lookout import Lookout
from services.control.dashboard.rendering import Pages
from sluicegate.errors import Invalid, StoreError
from sluicegate.http.sse import frame
from sluicegate.store.notices import Notices, Subscription

GAP_SECONDS: Final = 0.5
"""At least this long between two looks, however much happens: a page changes twice a second at most."""
LONGEST_SECONDS: Final = 2.0
"""About this long at most: leases expire, jobs fall due, and workers tell of silence, without a notice."""

PARTS: Final[Mapping[str, Callable[[Board], Any]]] = {
    "banner": lambda board: (
        board.system,
        board.pauses,
        len(board.workers),
        board.counts.running,
        board.counts.stale_running,
    ),
    "counts": lambda board: (board.counts, board.oldest_waiting),
    "jobs": lambda board: board.jobs,
    "troubles": lambda board: board.troubles,
    "flow": lambda board: board.flow and (board.flow.hour, board.flow.day, board.flow.waiting),
    "doing": lambda board: (
        board.runs,
        [
            (each.worker_id, each.state, each.slots, each.jobs, each.paused_jobs, each.silent_jobs)
            for each in board.workers
        ],
    ),
    "strip": lambda board: board.system,
    "workers": lambda board: board.workers,
    "drain": lambda board: (board.system, board.drain, board.counts),
}
"""The parts of the pages, and what each shows: a part is sent again when that differs."""
WHOLE: Final = frozenset({"troubles", "flow", "doing"})
"""Parts that only a whole look has."""
OVERVIEW: Final = "banner,troubles,counts,flow,doing,jobs"


class LiveBoard:
    """Looks once for all viewers, a few times a second at most; each viewer gets the parts that changed."""

    def __init__(self, lookout: Lookout, notices: Notices, pages: Pages) -> None:
        self._lookout, self._notices, self._pages = lookout, notices, pages
        self._viewers = 0
        self._wanted: Counter[str] = Counter()
        self._looker: asyncio.Task[None] | None = None
        self._ended: StoreError | None = None
        self._changed = asyncio.Event()
        self._number = 0
        self._shown: dict[str, Any] = {}
        self._parts: dict[str, tuple[int, str]] = {}
        self._frames: dict[tuple[int, frozenset[str]], bytes] = {}
        self._changes: Subscription | None = None

    @asynccontextmanager
    async def viewing(self, parts: Sequence[str]) -> AsyncIterator[View]:
        """parts: those that the page has. Raises Invalid for one that is none."""
        if unknown := sorted(set(parts) - set(PARTS)):
            raise Invalid.field("parts", f"has {unknown[0]!r}, which is none of {', '.join(PARTS)}")
        self._viewers += 1
        self._wanted.update(parts)
        if self._changes is not None and any(self._wanted[name] == 1 for name in parts):
            self._changes.add(())  # a part that nobody had open is looked at now
        if self._looker is None or self._looker.done():
            self._shown, self._parts, self._ended = {}, {}, None
            self._looker = asyncio.create_task(self._keep_looking(), name="live board")
        try:
            yield View(self, frozenset(parts))
        finally:
            self._viewers -= 1
            self._wanted.subtract(parts)
            for name in parts:
                if not self._wanted[name]:  # or who opens it later would be shown what it was
                    self._parts.pop(name, None)
                    self._shown.pop(name, None)
                    self._frames.clear()
            if self._viewers == 0:
                looker, self._looker = self._looker, None
                looker.cancel()
                await asyncio.gather(looker, return_exceptions=True)

    async def after(self, number: int, names: frozenset[str]) -> tuple[int, bytes]:
        """Of these parts those that changed since that look, as soon as any did. Raises StoreError."""
        while not any(look > number for name, (look, _) in self._parts.items() if name in names):
            if self._ended is not None:
                raise self._ended
            await self._changed.wait()
        key = number, names
        if key not in self._frames:  # all pages that are as far are sent the same
            fresh = [html for name, (look, html) in self._parts.items() if look > number and name in names]
            self._frames[key] = frame(json.encode("".join(fresh)), event="put")
        return self._number, self._frames[key]

    async def _keep_looking(self) -> None:
        try:
            async with self._notices.subscribe(None) as changes:
                self._changes = changes
                while True:
                    wanted = {name for name, viewers in self._wanted.items() if viewers > 0}
                    self._show(
                        await self._lookout.board(
                            whole=not WHOLE.isdisjoint(wanted), with_drain="drain" in wanted
                        ),
                        wanted,
                    )
                    await asyncio.sleep(GAP_SECONDS)
                    await changes.wait(LONGEST_SECONDS)
        except StoreError as error:
            self._ended = error
            self._wake()
        finally:
            self._changes = None

    def _show(self, board: Board, wanted: Collection[str]) -> None:
        """Parts that nobody has open are not made; who opens one next is shown it with the next look."""
        values = {name: PARTS[name](board) for name in PARTS if name in wanted and self._wanted[name]}
        fresh = [name for name in values if name not in self._shown or self._shown[name] != values[name]]
        if not fresh:
            return
        self._number += 1
        self._frames.clear()
        for name in fresh:
            self._parts[name] = (
                self._number,
                self._pages.render(f"parts/{name}.html", board=board, system=board.system),
            )
        self._shown.update(values)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class View:
    """One open page. `changed` gives every part the first time, then those that changed since."""

    def __init__(self, board: LiveBoard, parts: frozenset[str]) -> None:
        self._board, self._parts = board, parts
        self._number = 0

    async def changed(self) -> bytes:
        """A `put` event. May be cut short and repeated: nothing is lost."""
        self._number, event = await self._board.after(self._number, self._parts)
        return event
