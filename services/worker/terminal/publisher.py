"""Publishes what a run's terminal shows while its live session is open, and types what operators type (L-14).

Nothing here slows the task: what is shown is gathered as it comes, and only so much of it is sent as a person
can see. While somebody watches or may type, that is at once and up to seventy times a second, else once in a
while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from services.worker.terminal.gathered import Gathered
from sluicegate.errors import RequestError, StoreError
from sluicegate.log import log
from sluicegate.store.streams import BEGINNING
from sluicegate.store.terminals import Piece, Shown, Typed
from sluicegate.worker.terminal import Listener, Size, Terminal
from sluicegate.worker.transports import Transport

AT_ONCE_SECONDS: Final = 0.015
"""Between two pieces while somebody looks."""
FLOOD_SECONDS: Final = 0.05
"""The same when the terminal shows more than is sent: nobody reads faster than twenty pictures a second."""
FLOOD_BYTES: Final = 32 * 1024
"""So much of the terminal goes out at a time while somebody looks."""
UNWATCHED_SECONDS: Final = 1.0
UNWATCHED_BYTES: Final = 128 * 1024
LOOK_SECONDS: Final = 5.0
"""So often a worker asks who watches and who may type, though its terminal shows nothing."""
TAKEN_SECONDS: Final = 0.25
"""What was typed is said to be taken at the latest then: an echo says it earlier."""
RETRY_SECONDS: Final = 0.2
LAST_SECONDS: Final = 2.0
NOBODY_THERE: Final = b"\r\n\x1b[7m nothing runs here just now that takes what is typed \x1b[0m\r\n"


class Publisher(Listener):
    """For one attempt. It hears the terminal inside `hearing`, and publishes while `run` runs.

    otherwise: takes what is typed while no command does; False when it does not either.
    """

    def __init__(
        self,
        terminal: Terminal,
        transport: Transport,
        job_id: str,
        token: int,
        *,
        otherwise: Callable[[bytes], Awaitable[bool]] | None = None,
    ) -> None:
        self._terminal = terminal
        self._otherwise = otherwise
        self._transport = transport
        self._job_id, self._token = job_id, token
        self._gathered = Gathered(UNWATCHED_BYTES)
        self._gathered.resize(terminal.size)
        self._place = 0
        self._sent_at = 0.0
        self._flooded = False
        self._somebody = False
        self._filled = asyncio.Event()
        self._hurry = asyncio.Event()
        self._typed: deque[Typed] = deque()
        self._typed_rung = asyncio.Event()
        self._heard_place = BEGINNING
        self._typed_place = ""
        self._ear: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        with self._terminal.heard_by(self) as recent:
            if recent:
                self.shown(recent)
            yield

    def shown(self, data: bytes) -> None:
        self._gathered.add(data)
        self._filled.set()

    def resized(self, size: Size) -> None:
        self._gathered.resize(size)
        self._filled.set()

    def look(self) -> None:
        """Ask now who watches and who may type: a grant has begun or ended."""
        self._filled.set()
        self._hurry.set()

    async def run(self) -> None:
        """Until the session is over, or cancelled; then what was shown last goes out, if that takes no time.

        May be called again for another session of the attempt. Raises nothing: who watches must not harm who
        works.
        """
        typing = asyncio.create_task(self._type(), name=f"typed into {self._job_id}")
        self.look()
        try:
            while True:
                await self._publish(await self._due())
        except RequestError as error:  # the session is over, or the lease lost
            log.info("worker.terminal.closed", job_id=self._job_id, code=error.code)
        finally:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
            with contextlib.suppress(RequestError, StoreError, TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._publish(self._taken())
            self._listen(False)  # last: the answer to what was published may say that somebody may type

    async def _due(self) -> list[Piece]:
        """What is to be published next, once it is time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._filled.wait()
        gap = FLOOD_SECONDS if self._flooded else AT_ONCE_SECONDS
        if not self._somebody and not self._hurry.is_set():
            gap = UNWATCHED_SECONDS
        wait = self._sent_at + gap - asyncio.get_running_loop().time()
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    # Somebody has begun to look: then the rest of a long wait is not waited for.
                    await (asyncio.sleep(wait) if self._somebody else self._hurry.wait())
        self._filled.clear()
        self._hurry.clear()
        return self._taken()

    def _taken(self) -> list[Piece]:
        pieces = []
        parts = self._gathered.take()
        self._flooded = any(part.kind == "left_out" for part in parts)
        for part in parts:
            piece = Piece(self._place, part.kind, part.data)
            self._place = piece.end
            pieces.append(piece)
        return pieces

    async def _publish(self, pieces: list[Piece]) -> None:
        """Send them, again while the store is away: meanwhile the terminal gathers. Raises RequestError."""
        while True:
            try:
                shown = await self._transport.show_terminal(
                    self._job_id, self._token, pieces, self._typed_place
                )
                break
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)
        self._sent_at = asyncio.get_running_loop().time()
        self._heed(shown)

    def _heed(self, shown: Shown) -> None:
        granted = shown.granted_until_ms > 0
        self._somebody = shown.watched or granted
        self._gathered.most = FLOOD_BYTES if self._somebody else UNWATCHED_BYTES
        self._listen(granted)

    def _listen(self, granted: bool) -> None:
        """Hear what is typed while somebody may, and only then."""
        if granted and self._ear is None:
            hear = self._transport.hear_typed(self._job_id, self._token, self._heard_place, self._hear)
            self._ear = asyncio.create_task(hear, name=f"hears what is typed into {self._job_id}")
        elif not granted and self._ear is not None:
            self._ear.cancel()
            self._ear = None
            self._typed.clear()  # what nobody may type any more is not typed

    def _hear(self, typed: Typed) -> None:
        self._heard_place = typed.id
        self._typed.append(typed)
        self._typed_rung.set()

    async def _type(self) -> None:
        """Give the terminal what operators type, in order."""
        while True:
            await self._typed_rung.wait()
            self._typed_rung.clear()
            while self._typed:
                typed = self._typed.popleft()
                await self._give(typed)
                self._typed_place = typed.id
            asyncio.get_running_loop().call_later(TAKEN_SECONDS, self._filled.set)

    async def _give(self, typed: Typed) -> None:
        if typed.kind == "size":
            columns, _, rows = typed.data.decode().partition("x")
            self._terminal.resize(Size(int(columns), int(rows)))
        elif not (await self._terminal.type(typed.data) or await self._typed_otherwise(typed.data)):
            self._terminal.show(NOBODY_THERE)

    async def _typed_otherwise(self, data: bytes) -> bool:
        return self._otherwise is not None and await self._otherwise(data)
