"""A background role: something done again and again, with one tested way to start, stop and back off."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import ClassVar, Final

from sluicegate.errors import SluicegateError
from sluicegate.log import log

Counts = dict[str, int]
JITTER: Final = 0.1
LONGEST_BACK_OFF_SECONDS: Final = 30.0


class Loop:
    """Subclass it and write `run_once`. A pass that did something is followed by the next at once.

    start: begins; twice is once. stop: lets the pass under way end, returns when stopped; may come before
    start, twice, or in mid-pass. A pass that raises an error of ours is logged and repeated with back-off.
    """

    name: ClassVar[str]

    def __init__(self, interval_seconds: float) -> None:
        self.interval_seconds = interval_seconds
        self._due: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def run_once(self) -> Counts:
        """One pass; what it did, by name. All zero: nothing is left to do now."""
        raise NotImplementedError

    @property
    def lag_seconds(self) -> float:
        """Since when a pass is due that has not ended well: it grows while one hangs or fails."""
        due = self._due
        return 0.0 if due is None else max(0.0, time.monotonic() - due)

    def start(self) -> None:
        if self._task is None and not self._stopping.is_set():
            self._due = time.monotonic()
            self._task = asyncio.create_task(self._run(), name=f"loop {self.name}")

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            wait = self.interval_seconds * (1 + JITTER * random.uniform(-1, 1))  # noqa: S311
            try:
                counts = await self.run_once()
            except SluicegateError as error:
                failures += 1
                wait = _back_off(wait, failures)
                log.warning("loop.failed", loop=self.name, code=error.code, detail=error.detail)
            except Exception as error:  # noqa: BLE001 - a defect in one pass must not end the role
                failures += 1
                wait = _back_off(wait, failures)
                log.error("loop.raised", loop=self.name, error=error)
            else:
                failures = 0
                if any(counts.values()):
                    log.debug("loop.did", loop=self.name, **counts)
                    wait = 0.0
                self._due = time.monotonic() + wait
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
        self._due = None


def _back_off(wait: float, failures: int) -> float:
    """Doubles with each failure in a row. The exponent is bounded: a day of failures overflows a float."""
    return min(wait * 2.0 ** min(failures, 30), max(LONGEST_BACK_OFF_SECONDS, wait))
