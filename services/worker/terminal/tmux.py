"""Provider `tmux`: for people with a shell on the worker's machine, as the worker's user (L-7).

Who comes without `-r` while no grant is in force is detached at once, and nobody's keys reach the agent then.
The user may do what it likes with processes of its own, tmux included: docs/how-to says what that means.
"""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Final

from services.worker.terminal.panes import SESSION, Panes, PanesFailed
from sluicegate.log import log
from sluicegate.store.live_sessions import Known, Ways

if TYPE_CHECKING:
    from services.worker.task.run import TaskRun

CONFIGURATION: Final = (
    "set -g pane-border-status top",
    "set -g pane-border-format ' #{?#{==:#{pane_index},0},agent,"
    "#{?#{==:#{pane_index},1},log,#{?#{==:#{pane_index},2},inbox,shell}}} '",
    "set -g allow-rename off",
)
ONLY_READERS: Final = 'if-shell -F "#{client_readonly}" "" "detach-client"'


class Tmux:
    def __init__(self, run: TaskRun) -> None:
        self._run = run
        self._panes = Panes(run, "tmux", CONFIGURATION)
        self._writer: str | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._obeying: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> Ways:
        self._panes = Panes(self._run, "tmux", CONFIGURATION)
        await self._panes.start(["-D"], with_session=False)
        await self._let_write(None)
        return self._ways()

    def look(self, known: Known) -> None:
        """Who may type now: at the time's end nobody, even if the store is away then."""
        seconds = (known.granted_until_ms - known.heard_ms) / 1000
        self._grant(known.session.rw_granted_to if seconds > 0 else None)
        if seconds > 0:
            self._ending = asyncio.get_running_loop().call_later(seconds, self._grant, None)

    async def grant_over(self) -> Ways:
        """Those who write are out, and the name of the socket that they were told leads nowhere."""
        self._forget_time()
        self._writer = None
        await self._let_write(None)
        self._panes.rename()
        return self._ways()

    async def ended(self) -> None:
        await self._panes.ended()

    async def close(self) -> None:
        self._forget_time()
        self._writer = None
        if self._obeying is not None:
            self._obeying.cancel()
            await asyncio.gather(self._obeying, return_exceptions=True)
            self._obeying = None
        await self._panes.close()

    def _forget_time(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _grant(self, writer: str | None) -> None:
        self._forget_time()
        self._panes.agent.granted = writer is not None
        if writer != self._writer:
            self._writer = writer
            before = self._obeying
            self._obeying = asyncio.create_task(self._obey(writer, before), name="tmux obeys a grant")

    async def _obey(self, writer: str | None, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        try:
            await self._let_write(writer)
        except (PanesFailed, TimeoutError) as error:
            log.warning("worker.live.tmux_refused", job_id=self._run.ctx.job.id, error=error)

    async def _let_write(self, writer: str | None) -> None:
        """From now on this person. Who could write before is out, also when somebody else may now."""
        async with self._turn:
            self._panes.agent.granted = writer is not None
            await self._panes.call("set-hook", "-g", "client-attached", ONLY_READERS)
            clients = await self._panes.call("list-clients", "-F", "#{client_readonly} #{client_name}")
            for client in clients.splitlines():
                readonly, _, name = client.partition(" ")
                if readonly == "0":
                    await self._panes.call("detach-client", "-t", name)
            if writer is not None:
                await self._panes.call("set-hook", "-gu", "client-attached")

    def _ways(self) -> Ways:
        attach = f"tmux -S {shlex.quote(str(self._panes.socket))} attach"
        return Ways(
            attach_ro=f"{attach} -r -t {SESSION}",
            attach_rw=f"{attach} -t {SESSION}",
            tmate_socket=str(self._panes.socket),
        )
