"""What a step is stopped for: its time and its silence, neither of which counts while it is held (H-1)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.worker.heal import watch as step_watch
from services.worker.heal.watch import StepWatch
from sluicegate.worker.holds import Holds
from sluicegate.worker.process import Command, Grace
from tests.support.wait import until

GRACE = Grace(sigint_seconds=0.2, sigterm_seconds=0.2)
LATE = 10.0
"""Ten times the second in which a limit has to be noticed."""


class Watched:
    """A command under a watch, as an attempt runs it."""

    def __init__(self, command: Command, watch: StepWatch, holds: Holds) -> None:
        self.command, self.watch, self.holds = command, watch, holds
        self.began = time.monotonic()
        self.over = asyncio.create_task(watch.over(command, holds))

    async def limit(self) -> tuple[str | None, float]:
        """What it came to be over, and after how many seconds."""
        await asyncio.wait_for(self.over, 60)
        return self.watch.limit, time.monotonic() - self.began


Watching = Callable[..., AsyncIterator[Watched]]


@asynccontextmanager
async def watching(
    tmp_path: Path, script: str, *, wall: float = 60, idle: float = 60, cpu: float = 0
) -> AsyncIterator[Watched]:
    watch = StepWatch(wall_seconds=wall, idle_seconds=idle, cpu_percent=cpu)
    command = await Command.start(
        ["bash", "-c", script], cwd=tmp_path, env=dict(os.environ), grace=GRACE,
        on_output=lambda chunk, stream: watch.heard(chunk),
    )  # fmt: skip
    watched = Watched(command, watch, Holds())
    try:
        yield watched
    finally:
        watched.over.cancel()
        command.kill_now()
        await command.wait()


@pytest.mark.parametrize("script", ["sleep 60", "while :; do echo word; sleep 0.05; done"])
async def test_its_time_is_up_whatever_it_says(tmp_path: Path, script: str) -> None:
    async with watching(tmp_path, script, wall=0.6) as watched:
        limit, seconds = await watched.limit()
    assert limit == "wall"
    assert 0.6 <= seconds < 0.6 + LATE


TURNING = (
    'exec python3 -c \'import time\nwhile True:\n for frame in "|/-": '
    'print(chr(13) + frame, end="", flush=True); time.sleep(0.02)\''
)
SILENT = {
    "no word at all": "exec sleep 60",
    "one word": "echo began; exec sleep 60",
    "a spinner": TURNING,
    "a spinner that sleeps": "while :; do for c in '|' / -; do printf '\\r%s' $c; sleep 0.05; done; done",
    "a busy loop": "while :; do :; done",
    "a question": "read answer",
}


@pytest.mark.parametrize("script", SILENT.values(), ids=SILENT)
async def test_silence_is_noticed(tmp_path: Path, script: str) -> None:
    async with watching(tmp_path, script, idle=0.6) as watched:
        limit, seconds = await watched.limit()
    assert limit == "idle"
    assert 0.6 <= seconds < 0.6 + LATE


ALIVE = {
    "words": "while :; do echo word; read -t 0.1 <> <(:); done",
    "a bar": "exec python3 -c 'import time\nfor n in range(10**6):\n"
    ' print(f"{chr(13)}{n} done", end="", flush=True); time.sleep(0.1)\'',
    "processes that come and go": "while :; do sleep 0.1; done",
    "one command after the other behind a spinner": "(for n in $(seq 900); do sleep 0.2$n; done) & "
    + TURNING,
    "a detached one that starts others": "(setsid bash -c 'while :; do sleep 0.1; done' &); sleep 600",
}


async def test_life_is_not_taken_for_silence(tmp_path: Path) -> None:
    """For longer than a silence may last, with signs of life far more often. An interpreter starts first."""

    async def limit(name: str) -> str:
        async with watching(tmp_path / name, ALIVE[name], idle=3.0, wall=6.5) as watched:
            return (await watched.limit())[0]

    for name in ALIVE:
        (tmp_path / name).mkdir()
    limits = await asyncio.gather(*map(limit, ALIVE))
    assert dict(zip(ALIVE, limits, strict=True)) == dict.fromkeys(ALIVE, "wall")


async def test_processor_time_is_life_only_when_asked_for(tmp_path: Path) -> None:
    """A hundredth of a core is asked for, so that a crowded machine changes nothing."""
    async with (
        watching(tmp_path, "while :; do :; done", idle=1.5, wall=4.0, cpu=1) as busy,
        watching(tmp_path, "exec sleep 60", idle=1.0, wall=30.0, cpu=1) as asleep,
    ):
        limits = await asyncio.gather(busy.limit(), asleep.limit())
    assert [limit for limit, _ in limits] == ["wall", "idle"]


@pytest.mark.parametrize("limits", [{"wall": 0.5}, {"idle": 0.5}])
async def test_no_clock_runs_while_it_is_held(tmp_path: Path, limits: dict[str, float]) -> None:
    """H-1: paused, taken over or stopped, a step is never over a limit; afterwards the rest of it counts."""
    async with watching(tmp_path, "exec sleep 60", **limits) as watched:
        watched.holds.set("operator", True)
        await watched.command.pause()
        held = time.monotonic()
        await asyncio.wait([watched.over], timeout=1.5)
        assert not watched.over.done()
        watched.holds.set("operator", False)
        await watched.command.resume()
        limit, _ = await watched.limit()
        assert limit in limits
        assert time.monotonic() - held >= 1.5


async def test_output_that_nobody_read_in_time_is_heard_before_the_verdict(tmp_path: Path) -> None:
    """A worker whose loop stood still finds a silence, and the words that were said meanwhile."""
    async with watching(tmp_path, "while :; do echo word; sleep 0.1; done", idle=1.0, wall=60.0) as watched:
        await until(lambda: watched.watch._pulse is None and watched.holds.worked_seconds > 0.3, "it runs")
        time.sleep(2.0)
        await asyncio.wait([watched.over], timeout=0.5)
        assert watched.watch.limit is None


async def test_a_command_that_ends_is_over_no_limit(tmp_path: Path) -> None:
    async with watching(tmp_path, "echo done", idle=5, wall=5) as watched:
        assert (await watched.command.wait()).exit_code == 0
        assert not watched.over.done()


async def test_people_see_its_clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those that its limits count, and that it is alive again is told at once."""
    monkeypatch.setattr(step_watch, "SILENT_SECONDS", 0.4)
    revived: list[tuple[float, float]] = []
    async with watching(tmp_path, "sleep 0.8; echo word; sleep 60") as watched:
        watched.watch.revived = lambda: revived.append(watched.watch.clocks())
        await until(lambda: watched.watch.clocks()[1] >= 0.4, "it is silent", timeout=LATE)
        await until(lambda: revived, "it is alive", timeout=LATE)
        ran, silent = revived[0]
        assert ran >= 0.4 and silent < ran
        watched.holds.set("operator", True)
        held = watched.watch.clocks()
        assert watched.watch.clocks() == held
