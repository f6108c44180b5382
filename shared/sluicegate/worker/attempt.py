"""One attempt while it runs: what it holds, and what has been asked of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from sluicegate.times import now_ms, to_rfc3339
from sluicegate.worker.holds import Holds
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
    """

    __slots__ = (
        "began",
        "cancel_requested_ms",
        "claimed",
        "commands",
        "control",
        "delivered_ms",
        "end_receipt",
        "holds",
        "interrupted",
        "interruption",
        "stopped",
        "task",
        "waiting_at_checkpoint",
    )

    def __init__(self, claimed: Claimed) -> None:
        self.claimed = claimed
        self.began = time.monotonic()
        self.interruption: Interruption | None = None
        self.interrupted: asyncio.Event | None = None
        self.cancel_requested_ms: int | None = None
        self.delivered_ms: int | None = None
        self.end_receipt: dict[str, Any] | None = None
        self.commands: set[Command] = set()
        self.task: asyncio.Task[None] | None = None
        self.holds = Holds()
        self.control = RunControl(self.holds)
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

    def receipt(self) -> dict[str, Any]:
        """How the processes of a cancelled attempt ended (70-48); an empty one if none was running."""
        if self.end_receipt is not None:
            return self.end_receipt
        delivered = to_rfc3339(self.delivered_ms or now_ms())
        return {
            "requestedAt": to_rfc3339(self.cancel_requested_ms or now_ms()),
            "deliveredAt": delivered,
            "signals": [],
            "groupEmptyAt": delivered,
            "survivors": [],
        }
