"""Following a job through a whole deployment: as the docs say, and while queue_api is killed under it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from yarl import URL

from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.support import given
from tests.support.dev_process import dev, environment
from tests.support.pages import Page
from tests.support.programs import programs
from tests.support.wait import until


@pytest.mark.slow
@pytest.mark.needs("git")
@pytest.mark.needs("curl")
def test_the_page_about_following_runs(tmp_path: Path) -> None:
    """Q-6, 70-14: every block of commands of docs/how-to/follow-events.md."""

    def here(text: str) -> str:
        return text.replace("/tmp/counting", f"{tmp_path}/counting").replace("sleep 2", "sleep 0.1")

    page = Page("docs/how-to/follow-events.md", here)
    with dev(tmp_path / "data") as running:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = page.run(tmp_path, environment({"SLUICEGATE_URL": running.url, "PATH": path}))
    assert done.status == 0, done.errors
    _, _, logs, watched, stream, _, pages, python = done.outputs
    counted = [f"counted {number}" for number in range(1, 6)]
    for output in (logs, watched, stream, python):
        assert [word for word in counted if word not in output] == []
    assert stream.rstrip().endswith('event: end\ndata: {"status":"succeeded"}')
    assert pages.splitlines()[0] == '"kind":"job.enqueued"'
    assert pages.splitlines()[-1] == '"kind":"job.succeeded"'
    assert python.splitlines()[-1] == "ended: succeeded"


@pytest.mark.slow
async def test_the_command_line_follows_across_restarts(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    """Q-6: queue_api is killed twice while the job writes; each line is printed once, in order."""
    job = await given.running(store)
    written = 0

    async def write() -> str:
        nonlocal written
        written += 1
        await given.says(store, job, f"line {written}\n")
        return f"line {written}"

    with programs(settings.redis_url, tmp_path) as started:
        queue_api, url = await started.service("queue_api")
        following = [
            await Following.begin(tmp_path / command[0], *command, job.id, "--url", url)
            for command in (["logs", "-f"], ["watch"])
        ]

        async def all_go_on() -> None:
            """Write until everybody has printed what was written from now on."""
            first = await write()

            async def printed() -> bool:
                await write()
                return all(first in each.lines for each in following)

            await until(printed, f"everybody prints {first}", pause=0.02)

        try:
            await all_go_on()
            for _ in range(2):
                queue_api.kill()
                await write()
                queue_api = started.start("services.queue_api", QUEUE_API_PORT=str(URL(url).port))
                await queue_api.said("service_listening")
                await all_go_on()
            await given.complete(store, job)
            for each in following:
                assert await asyncio.wait_for(each.process.wait(), 20) == 0
                assert each.lines == [f"line {number}" for number in range(1, written + 1)]
        finally:
            for each in following:
                if each.process.returncode is None:
                    each.process.kill()
                    await each.process.wait()


class Following(NamedTuple):
    """`sluicegate jobs <command>` as a process, and the file that it prints to."""

    process: asyncio.subprocess.Process
    printed: Path

    @classmethod
    async def begin(cls, printed: Path, *arguments: str) -> Self:
        with printed.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sluicegate", "jobs", *arguments, stdout=output
            )
        return cls(process, printed)

    @property
    def lines(self) -> list[str]:
        """The job's lines that it has printed whole."""
        return [line for line in self.printed.read_text().split("\n")[:-1] if line.startswith("line ")]
