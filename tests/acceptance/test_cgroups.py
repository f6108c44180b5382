"""Where the machine allows it each command has a cgroup of its own: what that ends, and nothing else would.

Skipped by name where there are no such cgroups; the limits without them are in test_processes_end.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sluicegate.store import Store, jobs
from sluicegate.worker.process import Command, Grace
from sluicegate.worker.process.guard import cgroup
from tests.support import cgroups
from tests.support.job_builder import JobBuilder
from tests.support.marked import marked, new_mark
from tests.support.programs import Programs, programs
from tests.support.wait import until, until_sync

STRAY = """
import os, time
for child in range(3):
    if not os.fork():
        os.setsid()
        os.execlp("sleep", "sleep", "600")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def home() -> Iterator[str]:
    home = cgroups.require()
    yield home
    until_sync(lambda: not made_in(home), "no cgroup is left")


def made_in(home: str) -> list[str]:
    return [name for name in os.listdir(home) if name.startswith(cgroup.PREFIX)]


@pytest.fixture
def mark() -> dict[str, str]:
    return new_mark()


async def test_without_any_guard_nothing_lives_on(tmp_path: Path, mark: dict[str, str], home: str) -> None:
    """C-12: both guard processes killed at once; sessions of their own end too, and the receipt says so."""
    said = bytearray()
    command = await Command.start(
        [sys.executable, "-c", STRAY], cwd=tmp_path, env={"PATH": os.environ["PATH"], **mark},
        on_output=lambda chunk, _stream: said.extend(chunk),
        grace=Grace(sigint_seconds=30, sigterm_seconds=30),
    )  # fmt: skip
    await until(lambda: b"ready" in said and len(marked(mark)) == 4, "the tree stands")
    assert len(made_in(home)) == 1
    holder = psutil.Process(command.pid).parent()
    assert holder is not None
    standby = holder.parent()
    assert standby is not None
    standby.suspend()  # so that it cannot act before it is killed too
    holder.suspend()
    stopping = asyncio.create_task(command.stop())
    holder.kill()
    standby.kill()
    receipt = await asyncio.wait_for(stopping, 10)
    assert marked(mark) == []
    assert receipt["signals"][-1]["signal"] == "SIGKILL"
    assert (receipt["survivors"], receipt["groupEmptyAt"] is None) == ([], False)


ANOTHERS = """
import asyncio, ctypes, json, os, sys
if "dropped" not in sys.argv:
    ctypes.CDLL(None).prctl(24, 5)  # PR_CAPBSET_DROP CAP_KILL: as a worker that is not root
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[1:], "dropped"])
from pathlib import Path
from sluicegate.worker.process import Command, Grace, guard_link

brief = "from guard import reaper; reaper.KILL_REPORT_SECONDS = 0.5; from guard.program"
guard_link.PROGRAM = guard_link.PROGRAM.replace("from guard.program", brief)
if sys.argv[2] == "none":
    guard_link.cgroups = lambda: "-"
CODE = "import os, time\\nif not os.fork(): os.setresuid(65534, 65534, 65534)\\n"
CODE += "print('ready', flush=True); time.sleep(600)"

async def main():
    said = bytearray()
    command = await Command.start(
        [sys.executable, "-c", CODE], cwd=Path("/"), env={}, on_output=lambda chunk, _: said.extend(chunk),
        grace=Grace(sigint_seconds=0.1, sigterm_seconds=0.1),
    )
    while said.count(b"ready") < 2:
        await asyncio.sleep(0.01)
    print(json.dumps(await command.stop()))

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a process of another user")
@pytest.mark.parametrize("group", ["own", "none"])
def test_another_users_process_ends_too(group: str) -> None:
    """C-12: no signal of the worker's reaches it. Without a cgroup the receipt calls it a survivor."""
    words = [sys.executable, "-c", ANOTHERS, ANOTHERS, group]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    receipt: dict[str, Any] = json.loads(ended.stdout)
    counted = [(each["signal"], each["processes"]) for each in receipt["signals"]]
    assert counted[0] == ("SIGINT", 1)
    if group == "own":
        assert counted[-1] == ("SIGKILL", 1)
        assert (receipt["survivors"], receipt["groupEmptyAt"] is None) == ([], False)
    else:
        (survivor,) = receipt["survivors"]
        assert receipt["groupEmptyAt"] is None
        assert psutil.Process(survivor).uids().real == 65534
        psutil.Process(survivor).kill()


@pytest.fixture
def started(store_url: str, tmp_path: Path) -> Iterator[Programs]:
    with programs(store_url, tmp_path) as running:
        yield running


async def test_the_next_worker_ends_what_one_killed_with_its_guards_left(
    store: Store, started: Programs
) -> None:
    """C-12: as `pkill -9 python` does. The agent's own processes went on until somebody looked."""
    make = JobBuilder(store)
    payload = {"commands": [[sys.executable, "-c", STRAY]]}
    await make.enqueued(make.submission("command", payload=payload))
    first = await started.worker("first")
    await until(lambda: len(marked(first.mark)) == 7, "worker, guards, command and strays")
    python = [each for each in marked(first.mark) if each.name() != "sleep"]
    for each in python:
        each.send_signal(signal.SIGSTOP)  # none of them acts between the kills
    for each in python:
        each.kill()
    first.process.wait()
    await until(lambda: len(marked(first.mark)) == 3, "only the strays live on")
    second = await started.worker("second")
    assert (await second.said("worker.abandoned.ended"))["processes"] == 3
    assert marked(first.mark) == []
    counts = await jobs.counts(store)
    assert counts.running + counts.stale_running == 1
