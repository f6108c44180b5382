"""Provider `tmux`: a real tmux, real clients of it, and a command that runs on the run's terminal."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.worker.terminal.panes import Panes, PanesFailed
from services.worker.terminal.tmux import Tmux
from sluicegate.settings import WorkerSettings
from tests.support.attached import attached
from tests.support.marked import marked, new_mark
from tests.support.panes import agent, granted, opened, prepared
from tests.support.tasks import NewTask
from tests.support.wait import until

pytestmark = pytest.mark.needs("tmux")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    mark = new_mark()
    for name, value in mark.items():
        monkeypatch.setenv(name, value)
    return mark


@pytest.fixture
async def run(new_task: NewTask, worker_settings: WorkerSettings, mark: dict[str, str]) -> AsyncIterator[Any]:
    async with prepared(new_task("true"), worker_settings) as run:
        yield run


@pytest.fixture
def tmux(run: Any) -> Tmux:
    return Tmux(run)


async def obeyed(tmux: Tmux) -> None:
    assert tmux._obeying is not None
    await tmux._obeying


def socket_of(way: str | None) -> Path:
    assert way is not None
    return Path(shlex.split(way)[2])


async def test_watching_then_a_grant_then_watching_again(run: Any, tmux: Tmux, mark: dict[str, str]) -> None:
    """L-7, L-8, L-10: keys reach the agent under a grant only; at its end who writes is out, who watches
    stays, and the way that was told leads nowhere."""
    async with agent(run), opened(tmux) as ways:
        folder = socket_of(ways.attach_ro).parent
        with attached(ways.attach_ro) as watcher:
            for shown in ("agent at work", "a line of the log", "a message"):
                await until(lambda shown=shown: shown in watcher.screen, f"{shown!r} is seen")
            with attached(ways.attach_rw) as early:
                await until(lambda: "[detached" in early.screen, "nobody writes without a grant")
            watcher.type("watched\r")
            tmux.look(granted("ann"))
            await obeyed(tmux)
            with attached(ways.attach_rw) as writer:
                await until(lambda: writer.is_in and "agent at work" in writer.screen, "she is in")
                writer.type("hello\r")
                await until(lambda: "got:hello" in watcher.screen, "the agent has got it, and all see it")
                await until(lambda: run.ctx.terminal.size.columns == 140, "the terminal is as wide as hers")
                tmux.look(granted("bob"))
                await until(lambda: "[detached" in writer.screen, "another one has the grant")
            await obeyed(tmux)
            with attached(ways.attach_rw) as bob:
                await until(lambda: bob.is_in and "got:hello" in bob.screen, "he is in")
                tmux.look(granted("bob", seconds=0.1))
                await until(lambda: "[detached" in bob.screen, "his time is over")
            then = await tmux.grant_over()
            assert then.attach_ro != ways.attach_ro
            with attached(ways.attach_rw) as late:
                await until(late.process.poll, "the way that they were told leads nowhere")
            assert watcher.is_in and "watched" not in watcher.screen
            with attached(then.attach_ro) as newcomer:
                await until(lambda: "got:hello" in newcomer.screen, "the new way is one to watch")
        assert folder.is_dir()
    assert not folder.exists()
    await until(lambda: marked(mark) == [], "nothing runs any more")


async def test_keys_that_a_script_sends_without_a_grant(run: Any, tmux: Tmux) -> None:
    """L-10: tmux takes them of whoever has its socket; the worker hands them to the agent under a grant."""
    async with agent(run), opened(tmux) as ways:
        panes = tmux._panes
        await panes.call("send-keys", "-t", "run:0.0", "sneaked", "Enter")

        async def rung() -> bool:
            return await panes.call("display-message", "-p", "#{window_bell_flag}") == "1"

        await until(rung, "a bell says that nobody listens")
        tmux.look(granted("ann"))
        await panes.call("send-keys", "-t", "run:0.0", "allowed", "Enter")
        await until(lambda: b"got:allowed" in run.ctx.terminal.recent, "the agent has got it")
        assert b"sneaked" not in run.ctx.terminal.recent
        assert ways.tmate_socket == str(panes.socket)


async def test_the_shell_is_in_the_work_tree_and_knows_no_secret(
    run: Any, tmux: Tmux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """L-7, L-9: a step's environment, without what is secret, and none of the user's tmux files."""
    monkeypatch.setenv("PLANTED_SECRET", "correct-horse-battery")
    monkeypatch.setenv("SLUICEGATE_TOKEN", "swk_something")
    monkeypatch.setenv("TMUX", "/tmp/elsewhere,1,0")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".tmux.conf").write_text("set -g remain-on-exit off\n")
    run.ctx.redactor.add("correct-horse-battery")
    async with opened(tmux):
        await tmux._panes.call(
            "send-keys", "-t", "run:0.3", "env > env; pwd > pwd; touch done; exit", "Enter"
        )
        tree = run.place.tree
        await until((tree / "done").exists, "the shell has done it")
        assert (tree / "pwd").read_text().strip() == str(tree)
        env = dict(line.partition("=")[::2] for line in (tree / "env").read_text().splitlines())
        assert not {"PLANTED_SECRET", "SLUICEGATE_TOKEN"} & env.keys()
        assert env["SLUICEGATE_JOB_ID"] == run.ctx.job.id
        assert env["TMUX"].startswith(str(tmux._panes.socket))

        async def dead() -> bool:
            return await tmux._panes.call("display-message", "-p", "-t", "run:0.3", "#{pane_dead}") == "1"

        await until(dead, "what its last words were stays")
        sizes = await tmux._panes.call("list-panes", "-t", "run", "-F", "#{pane_width}x#{pane_height}")
        assert sizes.splitlines() == ["120x40", "39x16", "39x16", "40x16"]


async def test_it_ends_in_mid_run(run: Any, tmux: Tmux) -> None:
    """L-12: the session is told why; what is left of it can be closed."""
    async with agent(run), opened(tmux):
        ended = asyncio.create_task(tmux.ended())
        await tmux._panes.call("kill-server")
        with pytest.raises(PanesFailed, match="tmux has ended"):
            await asyncio.wait_for(ended, 10)


async def test_it_is_not_installed(
    run: Any, tmux: Tmux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PanesFailed, match="tmux is not installed on the worker's machine"):
        async with opened(tmux):
            raise AssertionError


async def test_closing_in_the_midst_of_opening(run: Any, tmux: Tmux, mark: dict[str, str]) -> None:
    """Wherever it is cut short, and again: nothing is left."""
    for seconds in (0.0, 0.02, 0.05, 0.1, 0.2):
        panes = Panes(run, "tmux", ())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await panes.start(["-D"], with_session=False)
        await panes.close()
        await panes.close()
    await until(lambda: marked(mark) == [], "nothing runs")
    assert not list(run.ctx.workspace.rglob("live-*"))


async def test_a_pane_that_takes_nothing_is_not_waited_for(run: Any, tmux: Tmux) -> None:
    """L-14: it misses what it cannot show, and is told; the terminal goes on."""
    async with opened(tmux):
        agent_pane = tmux._panes.agent
        folder, first = tmux._panes.socket.parent, agent_pane._pane
        reader, writer = await asyncio.open_unix_connection(folder / "agent")
        await until(lambda: agent_pane._pane is not first, "another one has its place")
        for _ in range(100):
            run.ctx.terminal.show(b"0123456789abcdef" * 4096 + b"\n")
            await asyncio.sleep(0)
        assert len(agent_pane._gathered._tail) <= 128 * 1024
        seen = b""
        run.ctx.terminal.show(b"the end")
        while not seen.endswith(b"the end"):
            seen += await reader.read(1 << 20)
        assert len(seen) < 3_000_000 and b"left out" in seen
        writer.close()
