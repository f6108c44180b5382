"""Provider `tmate`: with a stand-in for what needs a relay, and the real one where none answers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from services.worker.terminal.panes import PanesFailed
from services.worker.terminal.tmate import Tmate
from sluicegate.settings import WorkerSettings
from tests.support.marked import marked, new_mark
from tests.support.panes import agent, granted, opened, prepared
from tests.support.recorded_context import Kept
from tests.support.tasks import NewTask
from tests.support.wait import until

STAND_INS = Path(__file__).parents[2] / "support" / "stand_ins"
needs_tmux = pytest.mark.needs("tmux")
needs_tmate = pytest.mark.needs("tmate")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    mark = new_mark()
    for name, value in mark.items():
        monkeypatch.setenv(name, value)
    return mark


@pytest.fixture
def settings(worker_settings: WorkerSettings) -> WorkerSettings:
    return structs.replace(
        worker_settings,
        tmate_server_host="relay.test",
        tmate_server_port=2200,
        tmate_server_ed25519_fingerprint="SHA256:abc",
        live_session_ready_timeout_seconds=20.0,
    )


@pytest.fixture
def kept(new_task: NewTask, mark: dict[str, str]) -> Kept:
    return new_task("true")


@pytest.fixture
async def run(kept: Kept, settings: WorkerSettings) -> AsyncIterator[Any]:
    async with prepared(kept, settings) as run:
        yield run


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable).parent  # no shim, which takes longer to start than all else here
    monkeypatch.setenv("PATH", os.pathsep.join((str(STAND_INS), str(python), os.environ["PATH"])))


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A port of this machine that refuses, until it listens; then it accepts, and says nothing."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        yield door


@needs_tmux
async def test_its_ways_are_those_of_the_relay_and_others_after_a_grant(
    run: Any, stand_in: None, mark: dict[str, str]
) -> None:
    """L-7, L-10: at a grant's end the session is another one, so that what was told leads nowhere."""
    tmate = Tmate(run)
    async with agent(run), opened(tmate) as ways:
        assert ways.attach_ro is not None and ways.attach_ro.startswith("ssh -p2200 ro-")
        assert ways.attach_rw is not None and ways.attach_rw.endswith("@relay.test")
        assert ways.web_ro is not None and ways.web_ro.startswith("https://relay.test/t/ro-")
        assert ways.web_rw is not None and ways.web_rw != ways.web_ro
        first = tmate._panes
        assert first is not None
        await first.call("split-window", "-t", "run:0.0", "--", "sleep", "600")
        assert not first.agent.granted
        tmate.look(granted("ann"))
        assert first.agent.granted
        tmate.look(granted("ann", seconds=0.02))
        await until(lambda: not first.agent.granted, "the agent hears nobody any more")
        then = await tmate.grant_over()
        old = {ways.attach_ro, ways.attach_rw, ways.web_ro, ways.web_rw}
        assert not old & {then.attach_ro, then.attach_rw, then.web_ro, then.web_rw}
        assert not first.socket.exists()
    await until(lambda: marked(mark) == [], "nothing runs any more")


@needs_tmux
async def test_it_dies_in_mid_run(run: Any, stand_in: None) -> None:
    """L-12: with its last words as the reason, and no way in among them."""
    tmate = Tmate(run)
    async with opened(tmate) as ways:
        assert ways.tmate_socket is not None
        Path(ways.tmate_socket).with_name("die").touch()
        with pytest.raises(PanesFailed, match="tmate has ended: Error: the relay has closed the session"):
            await asyncio.wait_for(tmate.ended(), 10)


@needs_tmate
@pytest.mark.parametrize("listens", [False, True], ids=["refuses", "hangs"])
async def test_the_real_one_at_a_relay_that_is_none(
    kept: Kept, settings: WorkerSettings, mark: dict[str, str], door: socket.socket, listens: bool
) -> None:
    """L-12: within the time limit, with the reason; nothing is left."""
    if listens:
        door.listen()
    settings = structs.replace(
        settings,
        tmate_server_host="127.0.0.1",
        tmate_server_port=door.getsockname()[1],
        live_session_ready_timeout_seconds=2.0,
    )
    reason = "Connecting to 127.0.0.1" if listens else "Error connecting: Connection refused"
    began = time.monotonic()
    async with prepared(kept, settings) as run:
        with pytest.raises(PanesFailed, match=rf"the relay 127.0.0.1 gave no session within 1.8 s: {reason}"):
            async with opened(Tmate(run)):
                raise AssertionError
        assert time.monotonic() - began < 20
        assert not list(run.ctx.workspace.parent.rglob("live-*"))
        await until(lambda: marked(mark) == [], "nothing runs any more")


async def test_no_relay_and_no_tmate(
    kept: Kept, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """L-12: the reason names what is missing; no relay of others is ever tried."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for changed, reason in (
        (settings, "tmate is not installed on the worker's machine"),
        (
            structs.replace(settings, tmate_server_host=None),
            r"no relay is set \(SLUICEGATE_TMATE_SERVER_HOST\)",
        ),
    ):
        async with prepared(kept, changed) as run:
            with pytest.raises(PanesFailed, match=reason):
                async with opened(Tmate(run)):
                    raise AssertionError
