"""The embedded store as the supervisor sees it: started, restarted after a crash, stopped last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sluicegate.dev.embedded_store import EmbeddedStore
from sluicegate.errors import StoreUnavailable
from sluicegate.log import get

log = get("sluicegate.dev")

WATCH_SECONDS: Final = 0.1
FIRST_WAIT_SECONDS: Final = 0.05
RESTARTS: Final = 5


class KeptStore:
    """Keeps one EmbeddedStore running, without ever blocking the loop.

    All calls that wait run in one thread that lives as long as this: the store's process is tied to the
    thread that started it.
    """

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.restarts = 0
        self._stopping = asyncio.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def start(self) -> None:
        """Run it and return when it answers. Raises StoreUnavailable, ConfigurationError."""
        await self._in_thread(self.store.start)

    async def keep_running(self) -> None:
        """Return when stopped. Raises StoreUnavailable when it ended and did not come back in five starts."""
        while not await self._stop_within(WATCH_SECONDS):
            if not self.store.alive:
                await self._restart()

    async def stop(self) -> None:
        """End it, everything on disk; also while it still loads. Twice is once."""
        self._stopping.set()
        if not self._stopped:
            self.store.ask_to_end()
            await self._in_thread(self.store.stop)
            self._stopped = True
            self._thread.shutdown()

    async def crash(self, away_seconds: float, *, at_once: bool = True) -> None:
        """End its process, as a crash would or in order, and start it again after so long.

        Raises StoreUnavailable when it does not come back.
        """

        def end_and_start() -> None:
            # Whoever watches it waits for this thread, and finds it running again.
            (self.store.kill if at_once else self.store.stop)()
            time.sleep(away_seconds)
            self.store.start()

        await self._in_thread(end_and_start)

    def hurry(self) -> None:
        """End it at once, as a crash would; `stop` still waits for it to be gone."""
        self._stopping.set()
        self.store.ask_to_end(at_once=True)

    async def _restart(self) -> None:
        log.error("store_ended", log_tail=self.store.log_tail(5))
        for left in reversed(range(RESTARTS)):
            try:
                await self._in_thread(self.store.start)
            except StoreUnavailable:
                if left == 0:
                    raise
                if await self._stop_within(FIRST_WAIT_SECONDS * 2 ** (RESTARTS - left)):
                    return
            else:
                self.restarts += 1
                log.warning("store_restarted", pid=self.store.pid)
                return

    async def _in_thread(self, call: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _stop_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()
