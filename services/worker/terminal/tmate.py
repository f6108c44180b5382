"""Provider `tmate`: the run's panes through a relay, for people who reach the relay only (L-7, L-12).

The relay tells the ways to watch and those to write from the beginning; the latter are sealed until somebody
has a grant. After a grant they are of no use any more, since the session then is another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from services.worker.terminal.panes import SESSION, Panes, PanesFailed
from sluicegate.store.live_sessions import Known, Ways

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun
    from sluicegate.settings import WorkerSettings

WAYS: Final = ("tmate_ssh_ro", "tmate_ssh", "tmate_web_ro", "tmate_web")
BEFORE_THE_LIMIT: Final = 0.1
"""This share of the time to get ready is left to say what was waited for."""


class Tmate:
    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._panes: Panes | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def start(self) -> Ways:
        settings = self._run.ctx.settings
        panes = self._panes = Panes(self._run, "tmate", list(_configuration(settings)))
        limit = settings.live_session_ready_timeout_seconds * (1 - BEFORE_THE_LIMIT)
        try:
            async with asyncio.timeout(limit):
                await panes.start(["-F"], with_session=True)
                await panes.call("wait", "tmate-ready", seconds=limit)
        except TimeoutError as error:
            host = settings.tmate_server_host
            raise PanesFailed(
                f"the relay {host} gave no session within {limit:g} s: {panes.last_words}"
            ) from error
        except PanesFailed as error:
            words = panes.last_words
            raise PanesFailed(str(error) if words in str(error) else f"{error}; {words}") from error
        told = await panes.call("display-message", "-p", "|".join(f"#{{{way}}}" for way in WAYS))
        ssh_ro, ssh, web_ro, web = (way or None for way in told.split("|"))
        return Ways(
            attach_ro=ssh_ro,
            attach_rw=ssh,
            web_ro=web_ro,
            web_rw=web,
            tmate_session=SESSION,
            tmate_socket=str(panes.socket),
        )

    def look(self, known: Known) -> None:
        """Whether the agent hears what is typed: not past the time, even if the store is away then."""
        seconds = (known.granted_until_ms - known.heard_ms) / 1000
        self._hear(seconds > 0)
        if seconds > 0:
            self._ending = asyncio.get_running_loop().call_later(seconds, self._hear, False)

    async def grant_over(self) -> Ways:
        """Another session: the ways that were told lead nowhere, and who watched has to come again."""
        await self.close()
        return await self.start()

    async def ended(self) -> None:
        if self._panes is not None:
            await self._panes.ended()

    async def close(self) -> None:
        self._hear(False)
        if self._panes is not None:
            await self._panes.close()

    def _hear(self, granted: bool) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._panes is not None:
            self._panes.agent.granted = granted


def _configuration(settings: WorkerSettings) -> Iterator[str]:
    """Nobody's terminal is sent to a relay that the settings do not name. Raises PanesFailed."""
    if settings.tmate_server_host is None:
        raise PanesFailed("no relay is set (SLUICEGATE_TMATE_SERVER_HOST)")
    yield "set -g tmate-foreground-restart 0"
    yield f'set -g tmate-server-host "{settings.tmate_server_host}"'
    yield f"set -g tmate-server-port {settings.tmate_server_port}"
    for kind in ("rsa", "ed25519"):
        if fingerprint := getattr(settings, f"tmate_server_{kind}_fingerprint"):
            yield f'set -g tmate-server-{kind}-fingerprint "{fingerprint}"'
