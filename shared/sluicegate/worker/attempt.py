"""One attempt while it runs: what it holds, and what has been asked of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from sluicegate.log import log
from sluicegate.times import now_ms
from sluicegate.worker.holds import Holds
from sluicegate.worker.live_news import LiveNews
from sluicegate.worker.run_control import RunControl
from sluicegate.worker.transports import Claimed

if TYPE_CHECKING:
    from sluicegate.worker.process.command import Command

Interruption = Literal["cancel", "release", "run_timeout", "lost"]
LATE_SECONDS: Final = 5.0
"""So much later than the store a worker may have begun to count an attempt's time."""
_RANK: dict[str, int] = {"release": 1, "run_timeout": 2, "cancel": 3, "lost": 4}


class RunningAttempt:
    """The worker's record of an attempt. `interruption` says why it should end, the strongest reason wins.

    lost: the lease is another's: kill at once and write nothing more. cancel: an operator asked.
    rest_changed: called when it has come to rest, or goes on, and when what was silent is no longer.
    clocks: of the command of a step, how many seconds it runs and is silent. Called in any thread.
    most: how long it may.
    """

    __slots__ = (
        "began",
        "cancel_requested_ms",
        "claimed",
        "clocks",
        "commands",
        "control",
        "delivered_ms",
        "handling",
        "holds",
        "interrupted",
        "interruption",
        "live",
        "most",
        "receipts",
        "rest_changed",
        "stopped",
        "task",
        "waiting_at_checkpoint",
    )

    def __init__(self, claimed: Claimed, rest_changed: Callable[[], None] = lambda: None) -> None:
        self.claimed = claimed
        self.rest_changed = rest_changed
        self.began = time.monotonic()
        self.interruption: Interruption | None = None
        self.interrupted: asyncio.Event | None = None
        self.cancel_requested_ms: int | None = None
        self.delivered_ms: int | None = None
        self.handling = True
        self.clocks: Callable[[], tuple[float, float]] | None = None
        self.most: tuple[float, float] | None = None
        self.commands: set[Command] = set()
        self.receipts: list[dict[str, Any]] = []
        self.task: asyncio.Task[None] | None = None
        self.holds = Holds()
        self.control = RunControl(self.holds)
        self.live = LiveNews()
        self.waiting_at_checkpoint = False
        self.stopped: set[Command] = set()

    @property
    def job_id(self) -> str:
        return self.claimed.job_id

    @property
    def token(self) -> int:
        return self.claimed.token

    @property
    def at_rest(self) -> bool:
        """Whether it waits at a checkpoint, or all that it runs was stopped."""
        return self.waiting_at_checkpoint or (bool(self.stopped) and self.stopped == self.commands)

    @property
    def at_its_limit(self) -> bool:
        """Whether its time is over, or so nearly that it may be by the store's count (70-52)."""
        limit = self.claimed.max_run_seconds
        return limit is not None and time.monotonic() - self.began + LATE_SECONDS >= limit

    def interrupt(self, why: Interruption, requested_ms: int | None = None) -> bool:
        """Ask the attempt to end; False when it has been asked as strongly before."""
        if self.interruption and _RANK[self.interruption] >= _RANK[why]:
            return False
        self.interruption = why
        if why == "cancel":
            self.delivered_ms = now_ms()
            self.cancel_requested_ms = requested_ms or self.delivered_ms
        if self.interrupted is not None:
            self.interrupted.set()
        if why == "lost":
            for command in self.commands:
                command.kill_now()
        return True

    def interruption_event(self) -> asyncio.Event:
        """Set once the attempt is asked to end; made on first use, since most attempts never look."""
        if self.interrupted is None:
            self.interrupted = asyncio.Event()
            if self.interruption:
                self.interrupted.set()
        return self.interrupted

    def command_ended(self, command: Command) -> None:
        """Take a command off the books, and on record if it was stopped while a cancel was obeyed."""
        if command in self.commands:
            self.commands.discard(command)
            if self.interruption == "cancel" and command.receipt:
                self.receipts.append(command.receipt)

    async def end_commands(self) -> None:
        """The handler has ended: so does whatever it started by `run`, even if it did not wait for it."""
        self.handling = False
        if self.commands and self.interruption is None:
            log.warning("worker.command.left", job_id=self.job_id, commands=len(self.commands))
        await asyncio.gather(*map(self._end, list(self.commands)))

    def receipt(self) -> dict[str, Any]:
        """How the processes of a cancelled attempt ended (70-48); an empty one if none was running."""
        from sluicegate.worker.process.receipt import whole

        delivered_ms = self.delivered_ms or now_ms()
        requested_ms = self.cancel_requested_ms or delivered_ms
        return whole(self.receipts, requested_at_ms=requested_ms, delivered_at_ms=delivered_ms)

    async def _end(self, command: Command) -> None:
        if self.interruption in (None, "lost"):
            command.kill_now()
        else:
            await command.stop(self.cancel_requested_ms)
        await command.wait()
        self.command_ended(command)
