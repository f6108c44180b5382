"""A tree's pulse: equal while nothing begins or ends in it, whatever else it does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sluicegate.worker.process import Command, Grace, pulse
from sluicegate.worker.process.guard import tree
from tests.support.wait import until

Start = Callable[[str], Awaitable[Command]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    started = []

    async def start(script: str) -> Command:
        started.append(
            await Command.start(
                ["sh", "-c", script], cwd=tmp_path, env=dict(os.environ), pty=True,
                on_output=lambda chunk, stream: None, grace=Grace(sigint_seconds=1, sigterm_seconds=1),
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for command in started:
        command.kill_now()
        await command.wait()


@pytest.fixture(params=["proc", "ps"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ps":
        monkeypatch.setattr(tree, "has_proc", lambda: False)
    elif not tree.has_proc():
        pytest.skip("there is no /proc here")
    return str(request.param)


async def steady(command: Command, number: int) -> pulse.Pulse:
    """Once there are so many processes, the guard's holder among them, and none of them changes."""
    last: list[pulse.Pulse] = [await command.pulse()]

    async def same() -> bool:
        last.append(await command.pulse())
        return len(last[-1].processes) == number and last[-2] == last[-1]._replace(
            cpu_seconds=last[-2].cpu_seconds
        )

    await until(same, "a steady tree", timeout=60, pause=0.05)
    return last[-1]


@pytest.mark.timeout(300)
async def test_sleeping_and_computing_change_no_process(start: Start, table: str) -> None:
    """A whole second of the processor, since ps tells no less: long, where many want it."""
    command = await start("sleep 60 & while :; do :; done")
    before = await steady(command, 3)

    async def busy() -> bool:
        return (await command.pulse()).cpu_seconds > before.cpu_seconds

    await until(busy, "the processor is used", timeout=200, pause=0.05)
    assert (await command.pulse()).processes == before.processes


async def test_a_process_that_begins_and_one_that_ends_change_it(start: Start, table: str) -> None:
    command = await start("read line; sleep 1 & read line")
    first = await steady(command, 2)
    await command.write(b"\n")

    async def changed() -> bool:
        return (await command.pulse()).processes != first.processes

    await until(changed, "one has begun")
    second = await command.pulse()

    async def changed_again() -> bool:
        return (await command.pulse()).processes != second.processes

    await until(changed_again, "one has ended")


async def test_what_began_and_ended_between_two_looks_is_seen(start: Start) -> None:
    """A compiler that takes less time than there is between two looks."""
    if not tree.has_proc():
        pytest.skip("ps does not tell")
    command = await start("read line; true | true; echo done; read line")
    before = await steady(command, 2)
    await command.write(b"\n")
    await until(lambda: b"done" in command._streams.tail, "it has run")
    assert (await command.pulse()).processes != before.processes


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:00.03", 0.03), ("01:02", 62), ("01:02:03", 3723), ("2-00:00:01", 172_801)]
)
def test_times_as_ps_writes_them(text: str, seconds: float) -> None:
    assert pulse._seconds(text) == pytest.approx(seconds)
