"""The demo's own means: a real repository, the process table, a screen; and that it owns up to a failure."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rich.console import Console

from sluicegate.dev import processes
from sluicegate.dev.demo import tasks
from sluicegate.dev.demo.repository import MAIN, DemoRepository, run
from sluicegate.dev.demo.screen import Screen
from sluicegate.dev.demo.stories import Demo
from sluicegate.dev.deployment import Running
from sluicegate.dev.plan import make_plan
from sluicegate.dev.processes import processes_of
from tests.support.wait import until

STUCK_JOB = "0190a0a0-0000-7000-8000-000000000001"


async def seen(number: int) -> None:
    """Wait until the job has this many processes."""

    async def ask() -> bool:
        return len(await processes_of(STUCK_JOB)) == number

    condition: Callable[[], Awaitable[bool]] = ask
    matched: bool = await until(condition, f"{number} processes of the job")
    assert matched


async def test_the_steps_repair_what_the_package_really_lacks(tmp_path: Path) -> None:
    """The test fails before the steps and passes after them: what the demo shows is no show."""
    repository = DemoRepository(tmp_path)
    await repository.make()
    assert await repository.branches() == [MAIN]
    assert not await repository.tests_pass(MAIN)
    work = tmp_path / "work"
    await repository.git("clone", "--quiet", str(repository.origin), str(work))
    await repository.git("-C", str(work), "checkout", "--quiet", "-b", tasks.BRANCH)
    for step in tasks.healthy(repository.origin).payload["task"]["steps"]:
        ended = await run("bash", "-c", step["instructions"], cwd=work)
        assert ended.status == 0, ended.output
    await repository.git("-C", str(work), "add", "--all")
    await repository.git("-C", str(work), "commit", "--quiet", "--message", "Done\n\nBy: the steps")
    await repository.git("-C", str(work), "push", "--quiet", "origin", "HEAD")
    assert await repository.tests_pass(tasks.BRANCH)
    assert await repository.changed_files(tasks.BRANCH) == ["CHANGELOG.md", "tinystats/mean.py"]
    assert await repository.commit_messages(tasks.BRANCH) == ["Done\n\nBy: the steps"]
    assert "+    return sum(numbers) / len(numbers) if numbers else 0" in await repository.diff(tasks.BRANCH)
    first = tasks.healthy(repository.origin).payload["task"]["steps"][0]
    assert (await run("bash", "-c", first["instructions"], cwd=work)).status == 1, "nothing left to fix"


@pytest.mark.parametrize("table", ["proc", "ps"])
async def test_the_process_table_knows_every_descendant_of_a_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str
) -> None:
    """C-12: also one that left its parent, as the stuck task's second child does."""
    if table == "ps":
        monkeypatch.setattr(processes, "PROC", tmp_path / "no-such-folder")
    elif not Path("/proc/self/environ").exists():
        pytest.skip("there is no /proc here")
    stuck = tasks.stuck(tmp_path).payload["task"]["instructions"]
    assert await processes_of(STUCK_JOB) == []
    shell = subprocess.Popen(
        ["bash", "-c", stuck],
        env={**os.environ, "SLUICEGATE_JOB_ID": STUCK_JOB},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await seen(tasks.PROCESSES)
        assert shell.pid in await processes_of(STUCK_JOB)
    finally:
        os.killpg(shell.pid, 9)
        shell.wait()
    await seen(0)


def shown(*, terminal: bool) -> tuple[Screen, io.StringIO]:
    text = io.StringIO()
    return Screen(Console(file=text, force_terminal=terminal, width=100, highlight=False)), text


def test_without_a_terminal_lines_are_plain_and_markup_is_text() -> None:
    screen, text = shown(terminal=False)
    screen.line("healthy", "[bold]not markup[/bold]")
    screen.output("healthy", "a\nb\n")
    screen.diff("+x\n-y")
    screen.fact("it happened", "seen")
    screen.summary(12.3)
    lines = text.getvalue().splitlines()
    assert "  healthy  [bold]not markup[/bold]" in lines
    assert "  healthy  | b" in lines
    assert "+x" in lines
    assert "All of it happened, in 12 s:" in lines
    assert "\x1b" not in text.getvalue()


def test_on_a_terminal_there_is_colour() -> None:
    screen, text = shown(terminal=True)
    screen.diff("+x\n-y")
    assert "\x1b[" in text.getvalue()


async def test_a_demo_that_cannot_run_says_so_and_shows_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """70-36: exit 0 only if all of it happened."""
    log = tmp_path / "log"
    log.write_text("the last words of the services\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    plan = make_plan(port=0, worker=True, flags={"data_dir": tmp_path}, environ={})
    screen, text = shown(terminal=False)
    running = Running(url="http://127.0.0.1:1", redis_url="", pid=os.getpid(), plan=plan)
    assert await Demo(running, tmp_path / "scratch", log, screen).run() == 1
    assert "The demo failed: git" in text.getvalue()
    assert "git is not installed" in text.getvalue()
    assert "the last words of the services" in text.getvalue()
    assert "All of it happened" not in text.getvalue()


async def test_a_command_that_is_not_there_ends_with_127(tmp_path: Path) -> None:
    ended = await run(str(tmp_path / "no-such-program"))
    assert ended.status == 127
    assert (await run(sys.executable, "-c", "print('said'); raise SystemExit(3)")).status == 3
    assert asyncio.all_tasks() == {asyncio.current_task()}
