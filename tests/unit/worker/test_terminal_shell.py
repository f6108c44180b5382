"""The shell of who types while a run waits for them: in its work tree, gone when it goes on (L-9)."""

from __future__ import annotations

import asyncio

from services.worker.task.handler import _begin, run_task
from services.worker.terminal.shell import Shell
from sluicegate.settings import WorkerSettings
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask
from tests.support.wait import until


async def test_a_person_works_in_the_runs_files_while_it_waits(
    new_task: NewTask, worker_settings: WorkerSettings
) -> None:
    """What is typed begins it; not before the run waits, nor after; what was changed is the next step's."""
    kept: Kept = new_task("touch first; cat", "cat fixed > copy")
    async with attempt(kept, worker_settings) as opened:
        terminal = opened.context.terminal
        running = asyncio.create_task(run_task(opened.context))
        await until(lambda: terminal.takes_input, "the first step runs")
        shell = Shell(_begin(opened.context))
        assert not await shell.give(b"touch never\r")
        opened.wish(paused=True)
        await terminal.type(b"\x04")
        await until(lambda: opened.context.stands_still, "it waits")
        assert await shell.give(b"echo by hand > fixed\r")
        assert await shell.give(b"ls\r")
        await until(lambda: b"first  fixed" in terminal.recent, "the shell has obeyed")
        assert b"a shell in its work tree" in terminal.recent
        opened.wish(paused=False)
        await running
        assert not await shell.give(b"touch never\r")
        await shell.close()
    patch = kept.content[kept.artifacts["patches/steps/step-0002.patch"].digest]
    assert b"by hand" in patch and b"copy" in patch
