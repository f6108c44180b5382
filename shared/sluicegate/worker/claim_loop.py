"""The claim loop: one claim waits for as many jobs as there are free slots; freed slots make the next one."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Final

from sluicegate.errors import Forbidden, OutcomeUnknown, RequestError, StoreError, Unauthenticated
from sluicegate.log import log
from sluicegate.model import Policy
from sluicegate.settings import WorkerSettings
from sluicegate.store.claims import Lease
from sluicegate.worker.controls import PauseState
from sluicegate.worker.transports import Claimed, Found, Transport

MAX_CLAIM: Final = 100
WAIT_SECONDS: Final = 20.0
"""How long one claim waits for work before the next one does; below the patience of proxies."""
NOTHING_NEW: Final = Policy(types=())
"""A request that is repeated with this policy gets what it got before, and nothing else."""


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
        start: Callable[[Claimed], None],
        measure: Callable[[Found], None],
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
            found = await self._claim(limit)
            if found is None:
                continue
            self._pause.observe(found.system)
            for attempt in found.attempts:
                self._start(attempt)
            if 0 < len(found.attempts) < limit:
                # Nothing more waits: what there is may begin before the next claim is made.
                await asyncio.sleep(0)
            if found.pause is not None:
                self._pause.observe_one(found.pause)
            elif not found.system.workers_paused:
                self._pause.not_alone()
            if found.system.workers_paused or found.pause is not None:
                await self._wait_while_paused()

    async def _claim(self, limit: int) -> Found | None:
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
            try:
                found = await self._transport.claim(
                    NOTHING_NEW if last else self._policy,
                    lease_ms=lease_ms,
                    limit=limit,
                    request_id=request_id,
                    wait_seconds=0.0 if last else WAIT_SECONDS,
                )
                self._measure(found)
                return await self._still_held(found, lease_ms)
            except (Unauthenticated, Forbidden):
                raise
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

    async def _still_held(self, found: Found, lease_ms: int) -> Found:
        """An answer that may be older than its leases, as of a process that stood still, is not believed."""
        if not found.attempts or found.seconds * 1000 < lease_ms:
            return found
        leases = [Lease(attempt.job_id, attempt.token, lease_ms) for attempt in found.attempts]
        renewal = await self._transport.renew(leases)
        held = [
            attempt
            for attempt, answer in zip(found.attempts, renewal.items, strict=True)
            if not isinstance(answer, RequestError)
        ]
        if lost := len(leases) - len(held):
            log.warning("worker.claim.late", jobs=lost)
        return found._replace(attempts=held, system=renewal.system)

    async def _wait_while_paused(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.pause_poll_interval_ms / 1000):
                await self._looked.wait()
