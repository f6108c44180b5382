"""What is shown meanwhile: a line now and then, and a bar of the faults where there is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sluicegate.cli import output
from sluicegate.dev.demo.screen import Screen
from sluicegate.drill.drills import Drill, Size

TOLD: Final = 4
"""So often it is told how far a drill is."""


class Progress:
    """Of one drill."""

    def __init__(self, drill: Drill, size: Size, screen: Screen, advance: Callable[[int], None]) -> None:
        self._drill = drill
        self._size = size
        self._screen = screen
        self._advance = advance

    def faults(self, number: int, acknowledged: int) -> None:
        """So many were made."""
        self._advance(1)
        if number % max(1, self._size.faults // TOLD) == 0:
            self._line(f"{number} of {self._size.faults} faults, {acknowledged:,} jobs acknowledged")

    def draining(self, acknowledged: int) -> None:
        self._line(f"{acknowledged:,} jobs acknowledged; waiting until all have ended")

    def _line(self, text: str) -> None:
        self._screen.line("", text)


@contextmanager
def shown(drill: Drill, size: Size, screen: Screen) -> Iterator[Progress]:
    """Inside the block the drill runs."""
    screen.chapter(f"{drill.name}: {drill.says}")
    screen.line("", f"{size.jobs:,} jobs, {size.faults} faults, {size.workers} workers")
    with output.progress(drill.name, size.faults, shown=True) as advance:
        yield Progress(drill, size, screen, advance)
