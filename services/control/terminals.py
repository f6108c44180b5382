"""Who watches which run's terminal: one reader of the store for all viewers of a process (L-14).

A viewer has a bounded queue. One that takes too little of it is dropped; nobody ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from sluicegate.errors import Busy, StoreError
from sluicegate.metrics import TerminalMetrics
from sluicegate.operations import terminal_messages as messages
from sluicegate.operations.terminal_messages import Attempt, Session, Size, Told
from sluicegate.settings import ControlSettings
from sluicegate.store import terminals
from sluicegate.store.connection import Store
from sluicegate.store.notices import Notices, Subscription
from sluicegate.store.streams import Streams
from sluicegate.store.terminals import Piece, Standing
from sluicegate.times import to_rfc3339

LOOK_SECONDS: Final = 0.5
"""So often the session of a run that is watched is looked at, though nobody says that it changed."""
SAY_WATCHED_SECONDS: Final = terminals.WATCHED_MS / 3000
LAST_SECONDS: Final = 0.1
"""Once a session is over, what its terminal showed last has this long to come from the store."""
UNSENT_BYTES: Final = 1024 * 1024
"""So much may wait for one viewer, beside what it is given at its beginning."""

Frame = bytes | Told


class Viewer:
    """One who watches. over: set once there is nothing more to come; then `code` and `reason` say why."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.over = asyncio.Event()
        self.code, self.reason = messages.ENDED, ""
        self._frames: deque[Frame] = deque()
        self._unsent = 0
        self._rung = asyncio.Event()

    def put(self, frame: Frame, *, first: bool = False) -> None:
        """Without waiting. first: part of what it is given at its beginning."""
        if self.over.is_set():
            return
        self._frames.append(frame)
        if isinstance(frame, bytes) and not first:
            self._unsent += len(frame)
            if self._unsent > UNSENT_BYTES:
                self._frames.clear()
                self.end(messages.SLOW, "too slow: not enough was read of what the terminal shows")
        self._rung.set()

    async def take(self) -> list[Frame]:
        """What has come since the last call; waits for the first of it."""
        await self._rung.wait()
        self._rung.clear()
        frames, self._frames, self._unsent = list(self._frames), deque(), 0
        return frames

    @property
    def has_all(self) -> bool:
        return not self._frames

    def end(self, code: int, reason: str) -> None:
        if not self.over.is_set():
            self.code, self.reason = code, reason
            self.over.set()
            self._rung.set()


class Watched:
    """One run that is watched: what its terminal shows and how its session stands, for all its viewers."""

    def __init__(self, job_id: str, scrollback_bytes: int) -> None:
        self.viewers: set[Viewer] = set()
        self.task: asyncio.Task[None] | None = None
        self._job_id = job_id
        self._most = scrollback_bytes
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._cut = False
        self._token: int | None = None
        self._size: Size | None = None
        self._standing: Standing | None = None

    def join(self, viewer: Viewer) -> None:
        """It is told what is known; what is not known yet comes to all."""
        self.viewers.add(viewer)
        if self._standing is not None:
            self._tell(viewer, self._standing)
        if self._size is not None:
            viewer.put(self._size)
        if recent := b"".join(self._recent):
            viewer.put(_from_a_line(recent) if self._cut else recent, first=True)

    async def follow(self, store: Store, streams: Streams, notices: Notices) -> None:
        """Until cancelled; a store that is away is waited for."""
        async with terminals.follow_shown(streams, self._job_id, self._deliver):
            while True:
                with contextlib.suppress(StoreError):
                    async with notices.subscribe(self._job_id) as changed:
                        await self._look(store, changed)
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, store: Store, changed: Subscription) -> None:
        """Say that somebody watches, and tell how the session stands, again and again. Raises StoreError."""
        said = -SAY_WATCHED_SECONDS
        while True:
            if (now := asyncio.get_running_loop().time()) - said >= SAY_WATCHED_SECONDS:
                await terminals.keep_watched(store, [self._job_id])
                said = now
            standing = await terminals.standing(store, self._job_id)
            if not standing.open:
                await asyncio.sleep(LAST_SECONDS)
            self._stand(standing)
            await changed.wait(self._patience())

    def _deliver(self, shown: list[tuple[int, Piece]]) -> None:
        """What the terminal shows, in order; neighbours go out together."""
        seen = bytearray()
        for token, piece in shown:
            if token != self._token:
                self._show(seen)
                self._begin(token, cut=piece.place > 0)
            match piece.kind:
                case "d":
                    begins_within = self._cut and not self._recent and not seen
                    seen += _from_a_line(piece.data) if begins_within else piece.data
                case "left_out":
                    seen += messages.left_out(int(piece.data))
                case "size":
                    self._show(seen)
                    columns, _, rows = piece.data.partition(b"x")
                    self._size = Size(int(columns), int(rows))
                    self._put(self._size)
        self._show(seen)

    def _stand(self, standing: Standing) -> None:
        """Tell what changed of the session, the end of a grant too; when it is over so is all watching."""
        before, self._standing = self._standing, standing
        if before is None or _of_session(before) != _of_session(standing):
            for viewer in self.viewers:
                self._tell(viewer, standing)
        if not standing.open:
            for viewer in self.viewers:
                viewer.end(messages.ENDED, _why_over(standing))

    def _tell(self, viewer: Viewer, standing: Standing) -> None:
        writer = standing.writer
        viewer.put(
            Session(
                status=standing.session or "ended",
                writer=writer,
                granted_until=to_rfc3339(standing.granted_until_ms) if writer else None,
                yours=writer is not None and writer == viewer.user_id,
            )
        )

    def _patience(self) -> float:
        """Until the next look: at the latest when the grant ends."""
        standing = self._standing
        if standing is None or standing.writer is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.0, (standing.granted_until_ms - standing.now_ms) / 1000))

    def _begin(self, token: int, *, cut: bool) -> None:
        if self._token is not None:
            self._put(Attempt(token))
        self._token, self._cut = token, cut
        self._recent.clear()
        self._recent_bytes = 0

    def _show(self, seen: bytearray) -> None:
        if not seen:
            return
        data = bytes(seen)
        seen.clear()
        self._put(data)
        self._recent.append(data)
        self._recent_bytes += len(data)
        while self._recent_bytes > self._most and len(self._recent) > 1:
            self._recent_bytes -= len(self._recent.popleft())
            self._cut = True

    def _put(self, frame: Frame) -> None:
        for viewer in self.viewers:
            viewer.put(frame)


class Terminals:
    """Start one per process; its reader starts with the first viewer."""

    def __init__(
        self, settings: ControlSettings, store: Store, notices: Notices, metrics: TerminalMetrics
    ) -> None:
        self._settings = settings
        self._store = store
        self._notices = notices
        self._metrics = metrics
        self._streams = Streams(store)
        self._watched: dict[str, Watched] = {}
        self._viewers = 0

    async def close(self) -> None:
        await self._streams.close()

    @contextlib.asynccontextmanager
    async def watching(self, job_id: str, user_id: str) -> AsyncIterator[Viewer]:
        """Inside the block the viewer is given what the run's terminal showed lately, and what comes.

        Raises Busy (rate_limited) when as many watch already as may.
        """
        watched = self._room(job_id)
        viewer = Viewer(user_id)
        watched.join(viewer)
        if watched.task is None:
            follow = watched.follow(self._store, self._streams, self._notices)
            watched.task = asyncio.create_task(follow, name=f"terminal {job_id}")
        self._count(1)
        try:
            yield viewer
        finally:
            self._count(-1)
            watched.viewers.discard(viewer)
            if not watched.viewers and watched.task is not None:
                self._watched.pop(job_id, None)
                watched.task.cancel()
                await asyncio.wait([watched.task])

    def _room(self, job_id: str) -> Watched:
        if self._viewers >= self._settings.terminal_max_viewers:
            raise Busy("too many people watch terminals here just now", code="rate_limited")
        scrollback = self._settings.terminal_scrollback_bytes
        watched = self._watched.setdefault(job_id, Watched(job_id, scrollback))
        if len(watched.viewers) >= self._settings.terminal_max_viewers_per_run:
            raise Busy("too many people watch this run just now", code="rate_limited")
        return watched

    def _count(self, change: int) -> None:
        self._viewers += change
        self._metrics.viewers.set(self._viewers)


def _of_session(standing: Standing) -> tuple[object, ...]:
    """What viewers are told of it."""
    return standing.job_status, standing.session, standing.writer, standing.granted_until_ms, standing.token


def _from_a_line(data: bytes) -> bytes:
    """From the first whole line on: what was cut off may be half of a character or of an escape sequence."""
    _, newline, rest = data.partition(b"\n")
    return rest if newline else data


def _why_over(standing: Standing) -> str:
    if standing.job_status not in ("queued", "running"):
        return f"the run has ended: {standing.job_status or 'it was removed'}"
    return f"the live session is over: {standing.session or 'there is none'}"
