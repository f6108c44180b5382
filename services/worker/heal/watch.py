"""Watches one command of a step: its time, and how long it is silent (H-1).

Silence is a terminal that shows nothing new while no process of the command's tree begins or ends. What a
spinner starts again for each of its turns, like `sleep 0.1`, is no more life than the spinner. Both clocks
stand still while the attempt is held.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from services.worker.heal.life import Redraws
from sluicegate.store.workers import SILENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate.worker.holds import Holds
    from sluicegate.worker.process.command import Command
    from sluicegate.worker.process.pulse import Pulse

Limit = Literal["wall", "idle"]
LOOK_SECONDS: Final = 0.5
"""How often the processes of a silent command are looked at, since nothing tells of those that begin and
end. A silence is noticed late by so much at most, and never early."""
LOOKS: Final = 20
"""Looks in a silence that is just too long; where little is allowed they come more often."""
MOST_COMMANDS: Final = 1000
"""Command lines that are remembered."""
SHARE: Final = 20
"""A look at many processes takes a while: the next one waits for so many times that."""


class StepWatch:
    """For one command. `limit` says, once it was stopped, what it was over.

    cpu_percent: a silent command that uses so much of one core is alive; 0: using it is no sign of life.
    revived: called when there is life after a silence that people were told of.
    """

    def __init__(self, *, wall_seconds: float, idle_seconds: float, cpu_percent: float = 0.0) -> None:
        self.limit: Limit | None = None
        self._wall_seconds = wall_seconds
        self._idle_seconds = idle_seconds
        self._cpu_share = cpu_percent / 100
        self._look_seconds = min(LOOK_SECONDS, idle_seconds / LOOKS)
        self._redraws = Redraws()
        self._holds: Holds | None = None
        self.revived: Callable[[], None] = lambda: None
        self._began = self._alive_at = 0.0
        self._pulse: Pulse | None = None
        """As of the last look; None when there was life after it."""
        self._looked_at = 0.0
        self._painted = False
        """Whether the terminal was drawn since the last look, with nothing new."""
        self._commands: frozenset[bytes] = frozenset()

    def heard(self, chunk: bytes) -> None:
        if self._holds is None:
            return
        now = self._holds.worked_seconds
        if now - self._alive_at < self._look_seconds:
            self._redraws.skip()
        elif self._redraws.alive(chunk):
            self._live(now)
            self._pulse, self._painted = None, False
        else:
            self._painted = True

    async def over(self, command: Command, holds: Holds) -> None:
        self._holds = holds
        began = self._began = self._alive_at = holds.worked_seconds
        pause = self._look_seconds
        while True:
            look_at = self._next_look(pause)
            await holds.worked(min(began + self._wall_seconds, look_at))
            if holds.worked_seconds >= began + self._wall_seconds:
                self.limit = "wall"
            elif look_at == self._next_look(pause):
                pause = await self._look(command, holds)
                if holds.worked_seconds >= self._alive_at + self._idle_seconds:
                    self.limit = "idle"
            if self.limit is not None:
                return

    def clocks(self) -> tuple[float, float]:
        """For how many seconds it runs, and for how many it is silent. In any thread."""
        holds = self._holds
        if holds is None:
            return 0.0, 0.0
        now = holds.worked_seconds
        return max(0.0, now - self._began), max(0.0, now - self._alive_at)

    def _live(self, now: float) -> None:
        silent, self._alive_at = now - self._alive_at, now
        if silent >= SILENT_SECONDS:
            self.revived()

    def _next_look(self, pause: float) -> float:
        if self._pulse is None:
            return self._alive_at + pause
        return max(self._looked_at, min(self._looked_at + pause, self._alive_at + self._idle_seconds))

    async def _look(self, command: Command, holds: Holds) -> float:
        """Take the tree's pulse; the seconds until the next look. The first after a life counts as one."""
        began = time.monotonic()
        pulse = await command.pulse()
        now = holds.worked_seconds
        if self._pulse is None or self._moves(self._pulse, pulse, now - self._looked_at):
            self._live(now)
        self._pulse, self._looked_at, self._painted = pulse, now, False
        kept = self._commands if len(self._commands) < MOST_COMMANDS else frozenset[bytes]()
        self._commands = kept | pulse.commands
        return max(self._look_seconds, SHARE * (time.monotonic() - began))

    def _moves(self, before: Pulse, now: Pulse, seconds: float) -> bool:
        same = now.commands <= self._commands if self._painted else now.processes == before.processes
        return not same or 0 < self._cpu_share * seconds <= now.cpu_seconds - before.cpu_seconds
