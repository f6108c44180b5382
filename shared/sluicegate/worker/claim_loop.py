"""The claim loop: as many jobs as there are free slots, woken by bells, by freed slots and by due times."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Final

from sluicegate.errors import OutcomeUnknown, RequestError, StoreError
from sluicegate.log import log
from sluicegate.model import Policy
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Attempt, Opened
from sluicegate.worker.controls import PauseState
from sluicegate.worker.transports import Transport

MAX_CLAIM: Final = 100
SAFETY_POLL_SECONDS: Final = 2.0
"""Nothing is lost when a bell is: this often an idle worker looks by itself."""


class ClaimLoop:
    """Claims while there are free slots and work; paused is idle, not an error (P-7)."""

    def __init__(
        self,
        transport: Transport,
        settings: WorkerSettings,
        policy: Policy,
        pause: PauseState,
        *,
        free_slots: Callable[[], int],
        start: Callable[[Attempt], None],
        measure: Callable[[Opened, float], None],
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._policy = policy
        self._pause = pause
        self._free_slots = free_slots
        self._start = start
        self._measure = measure
        self._freed = asyncio.Event()
        self._looked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._prefix = secrets.token_hex(6)
        self._number = 0

    def slot_freed(self) -> None:
        self._freed.set()

    def look(self) -> None:
        """Claim at once, whatever the loop waits for: the pause state may have changed."""
        self._looked.set()
        self._transport.wake()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Claim until `stop` is set. A claim under way is finished, and its jobs are started."""
        if stop.is_set():
            return
        task = asyncio.create_task(self._run(), name="claim loop")
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            self._stopping.set()
            self._freed.set()
            self.look()
            await task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            free = self._free_slots()
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                # Slots freed in the same turn of the loop are filled by one claim.
                await asyncio.sleep(0)
                continue
            limit = min(free, MAX_CLAIM)
            self._looked.clear()
            opened = await self._claim(limit)
            if opened is None:
                continue
            self._pause.observe(opened.system)
            for attempt in opened.attempts:
                self._start(attempt)
            if opened.system.workers_paused:
                await self._wait_while_paused()
            elif len(opened.attempts) < limit:
                await self._wait_for_work(opened)

    async def _claim(self, limit: int) -> Opened | None:
        """One claim, repeated with the same request id until it is answered: a lost reply loses no job.

        When stopping, it is repeated once if a reply was lost, so that its jobs can be released; then None.
        """
        self._number += 1
        request_id = f"{self._prefix}-{self._number}"
        lease_ms = int(self._settings.worker_lease_seconds * 1000)
        pause = 0.1
        lost_reply = False
        while not self._stopping.is_set() or lost_reply:
            last = self._stopping.is_set()
            began = time.monotonic()
            try:
                opened = await self._transport.claim(
                    self._policy, lease_ms=lease_ms, limit=limit, request_id=request_id
                )
                self._measure(opened, time.monotonic() - began)
                return opened
            except (StoreError, RequestError) as error:
                log.warning("worker.claim.failed", code=error.code, detail=error.detail)
                lost_reply = lost_reply or isinstance(error, OutcomeUnknown)
            if last:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, 2.0)
        return None

    async def _wait_for_work(self, opened: Opened) -> None:
        """Until the bell rings, a delayed job is due, or the safety poll; the claim then tells."""
        wait = SAFETY_POLL_SECONDS
        if opened.next_due_ms is not None:
            wait = min(wait, max(0.0, (opened.next_due_ms - opened.now_ms) / 1000))
        if not self._stopping.is_set() and not self._looked.is_set():
            await self._transport.wait_for_work(self._policy, wait)

    async def _wait_while_paused(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.pause_poll_interval_ms / 1000):
                await self._looked.wait()
