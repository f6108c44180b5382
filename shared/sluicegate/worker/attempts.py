"""The attempts of one worker between their claim and their ending: asked to end, ended, drained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sluicegate.model import LiveControl
from sluicegate.settings import WorkerSettings
from sluicegate.worker.attempt import Interruption, RunningAttempt
from sluicegate.worker.holds import Hold

OWN_END_SECONDS: Final = 2.0
"""Beyond the grace of its signals, an interrupted handler has this long before its task is cancelled; it is
cancelled again this often, since a handler may swallow one."""
DRAIN_LOOK_SECONDS: Final = 0.5
MAX_EARLY: Final = 1000
"""Pushes for attempts that are not here yet; most are for attempts that have just ended, so the oldest go."""


class Early(NamedTuple):
    """What pushes have said of an attempt that is not here yet."""

    cancel_ms: int | None = None
    wanted: LiveControl | None = None
    live: int = 0


class Attempts:
    """cancel_heard: called when a cancel reaches an attempt, before its signals leave."""

    def __init__(self, settings: WorkerSettings, cancel_heard: Callable[[RunningAttempt], None]) -> None:
        self._settings = settings
        self._cancel_heard = cancel_heard
        self._running: dict[str, RunningAttempt] = {}
        self._displaced: set[RunningAttempt] = set()
        self._early: dict[tuple[str, int], Early] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._displaced)

    def add(self, attempt: RunningAttempt) -> None:
        """Called once its task is there, and before that has run."""
        if (earlier := self._running.get(attempt.job_id)) is not None:
            # Its lease ran out while this process stood still, and the job has come back to us.
            self._displaced.add(earlier)
            self.interrupt(earlier, "lost")
        self._running[attempt.job_id] = attempt
        early = self._early.pop((attempt.job_id, attempt.token), Early())
        cancel_ms = early.cancel_ms or attempt.claimed.cancel_requested_ms
        if cancel_ms is not None:
            self.interrupt(attempt, "cancel", cancel_ms)
        attempt.control.observe(attempt.claimed.live_control)
        attempt.control.observe(early.wanted)
        attempt.live.observe(max(early.live, attempt.claimed.live_version))

    def remove(self, attempt: RunningAttempt) -> None:
        self._displaced.discard(attempt)
        if self._running.get(attempt.job_id) is attempt:
            del self._running[attempt.job_id]

    def current(self) -> list[RunningAttempt]:
        """Those that hold their jobs, as far as is known. Safe in any thread."""
        return list(self._running.values())

    def on_their_way(self, reason: Hold) -> list[float]:
        """For how many seconds each has been asked to wait that is not at a checkpoint yet. In any thread."""
        return [
            attempt.holds.held_seconds
            for attempt in self.current()
            if reason in attempt.holds.reasons and not attempt.at_rest and attempt.interruption is None
        ]

    def holding(self, job_id: str, token: int) -> RunningAttempt | None:
        """The attempt that runs this job under this token."""
        attempt = self._running.get(job_id)
        return attempt if attempt is not None and attempt.token == token else None

    def cancel(self, job_id: str, token: int, requested_ms: int) -> None:
        """What a push says. It may overtake the answer to the claim: then it waits for the attempt."""
        if (attempt := self.holding(job_id, token)) is not None:
            self.interrupt(attempt, "cancel", requested_ms)
        else:
            self._keep(job_id, token, cancel_ms=requested_ms)

    def control(self, job_id: str, token: int, wanted: LiveControl | None) -> None:
        """What a push says, as `cancel`."""
        if (attempt := self.holding(job_id, token)) is not None:
            attempt.control.observe(wanted)
        else:
            self._keep(job_id, token, wanted=wanted)

    def live(self, job_id: str, token: int, version: int) -> None:
        """What a push says, as `cancel`."""
        if (attempt := self.holding(job_id, token)) is not None:
            attempt.live.observe(version)
        else:
            self._keep(job_id, token, live=version)

    def _keep(self, job_id: str, token: int, **said: Any) -> None:
        self._early[job_id, token] = self._early.get((job_id, token), Early())._replace(**said)
        if len(self._early) > MAX_EARLY:
            del self._early[next(iter(self._early))]

    def interrupt(self, attempt: RunningAttempt, why: Interruption, requested_ms: int | None = None) -> None:
        """Ask an attempt to end; a handler that does not look is ended from outside after the grace."""
        if not attempt.interrupt(why, requested_ms) or attempt.task is None:
            return
        if why == "cancel":
            self._cancel_heard(attempt)
        grace = 0.0
        if why != "lost":
            grace = self._settings.stop_sigint_grace_seconds + self._settings.stop_sigterm_grace_seconds
            grace += OWN_END_SECONDS
        asyncio.get_running_loop().call_later(grace, self._end, attempt)

    async def ended(self, stop: asyncio.Event) -> None:
        """Return when the last one has come to its own end, or at `stop`."""
        asked = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set() and (attempts := [*self._running.values(), *self._displaced]):
                ending = {attempt.task for attempt in attempts if attempt.task}
                await asyncio.wait(
                    {asked, *ending}, timeout=DRAIN_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            asked.cancel()

    async def drain(self, stop_now: asyncio.Event) -> None:
        """Let them run to the deadline, then release the rest; those at rest at once, all at `stop_now`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.worker_shutdown_seconds
        asked_twice = asyncio.ensure_future(stop_now.wait())
        try:
            while attempts := [*self._running.values(), *self._displaced]:
                left = deadline - loop.time()
                for attempt in attempts:
                    if stop_now.is_set():
                        _end_now(attempt)
                    elif left <= 0 or attempt.at_rest:
                        self.interrupt(attempt, "release")
                ending: set[asyncio.Future[Any]] = {attempt.task for attempt in attempts if attempt.task}
                if not stop_now.is_set():
                    ending.add(asked_twice)
                await asyncio.wait(
                    ending,
                    timeout=min(left, DRAIN_LOOK_SECONDS) if left > 0 else DRAIN_LOOK_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            asked_twice.cancel()

    def _end(self, attempt: RunningAttempt) -> None:
        """End the handler from outside, and again until it has ended; then its attempt ends its commands."""
        if attempt.task is not None and attempt.handling and not attempt.task.done():
            attempt.task.cancel()
            asyncio.get_running_loop().call_later(OWN_END_SECONDS, self._end, attempt)


def _end_now(attempt: RunningAttempt) -> None:
    """Without grace: the operator asked twice. The job is released all the same."""
    attempt.interrupt("release")
    for command in attempt.commands:
        command.kill_now()
    if attempt.task is not None and attempt.handling:
        attempt.task.cancel()
