"""The overview, kept up to date for all its viewers by one task that lives while anyone looks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from services.control.dashboard.board import Board, look
from services.control.dashboard.rendering import Pages
from sluicegate.errors import Invalid, StoreError
from sluicegate.store.connection import Store
from sluicegate.store.notices import Notices

GAP_SECONDS: Final = 0.3
"""At least this long between two looks, however much happens."""
LONGEST_SECONDS: Final = 2.0
"""About this long at most: leases expire and delayed jobs fall due without a notice."""

PARTS: Final[Mapping[str, Callable[[Board], Any]]] = {
    "banner": lambda board: (
        board.system,
        board.pauses,
        len(board.workers),
        board.counts.running,
        board.counts.stale_running,
    ),
    "counts": lambda board: board.counts,
    "jobs": lambda board: board.jobs,
    "strip": lambda board: board.system,
    "workers": lambda board: board.workers,
    "drain": lambda board: (board.system, board.drain, board.counts),
}
"""The parts of the page, and what each shows: a part is sent again when that differs."""


class LiveBoard:
    """Looks once for all viewers, a few times a second at most; each viewer gets the parts that changed."""

    def __init__(self, store: Store, notices: Notices, pages: Pages) -> None:
        self._store, self._notices, self._pages = store, notices, pages
        self._viewers = 0
        self._wanted: Counter[str] = Counter()
        self._looker: asyncio.Task[None] | None = None
        self._ended: StoreError | None = None
        self._changed = asyncio.Event()
        self._number = 0
        self._shown: dict[str, Any] = {}
        self._parts: dict[str, tuple[int, str]] = {}

    @asynccontextmanager
    async def viewing(self, parts: Sequence[str]) -> AsyncIterator[View]:
        """parts: those that the page has. Raises Invalid for one that is none."""
        if unknown := sorted(set(parts) - set(PARTS)):
            raise Invalid.field("parts", f"has {unknown[0]!r}, which is none of {', '.join(PARTS)}")
        self._viewers += 1
        self._wanted.update(parts)
        if self._looker is None or self._looker.done():
            self._shown, self._parts, self._ended = {}, {}, None
            self._looker = asyncio.create_task(self._keep_looking(), name="live board")
        try:
            yield View(self, frozenset(parts))
        finally:
            self._viewers -= 1
            self._wanted.subtract(parts)
            if self._viewers == 0:
                looker, self._looker = self._looker, None
                looker.cancel()
                await asyncio.gather(looker, return_exceptions=True)

    async def after(self, number: int, names: Collection[str]) -> tuple[int, str]:
        """Of these parts those that changed since that look, as soon as any did. Raises StoreError."""
        while not (
            fresh := [html for name, (look, html) in self._parts.items() if look > number and name in names]
        ):
            if self._ended is not None:
                raise self._ended
            await self._changed.wait()
        return self._number, "".join(fresh)

    async def _keep_looking(self) -> None:
        try:
            async with self._notices.subscribe(None) as changes:
                while True:
                    self._show(await look(self._store, with_drain=self._wanted["drain"] > 0))
                    await asyncio.sleep(GAP_SECONDS)
                    await changes.wait(LONGEST_SECONDS)
        except StoreError as error:
            self._ended = error
            self._wake()

    def _show(self, board: Board) -> None:
        values = {name: value(board) for name, value in PARTS.items()}
        fresh = [name for name in values if name not in self._shown or self._shown[name] != values[name]]
        if not fresh:
            return
        self._number += 1
        for name in fresh:
            self._parts[name] = (
                self._number,
                self._pages.render(f"parts/{name}.html", board=board, system=board.system),
            )
        self._shown = values
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class View:
    """One open page. `changed` gives every part the first time, then those that changed since."""

    def __init__(self, board: LiveBoard, parts: Collection[str]) -> None:
        self._board, self._parts = board, parts
        self._number = 0

    async def changed(self) -> str:
        """May be cut short and repeated: nothing is lost."""
        self._number, html = await self._board.after(self._number, self._parts)
        return html
