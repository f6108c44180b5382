"""The recording of an attempt's terminal: redacted, bounded, stored however the attempt ends (L-14)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.worker.task.handler import run_task
from services.worker.terminal import recording as module
from services.worker.terminal.recording import Recording
from sluicegate.settings import WorkerSettings
from sluicegate.worker.outcome import JobCancelled, JobFailed
from sluicegate.worker.terminal import Size, Terminal
from tests.support.recorded_context import Kept, attempt
from tests.support.tasks import NewTask
from tests.support.wait import until


def lines(cast: bytes) -> tuple[dict[str, Any], list[list[Any]]]:
    head, *events = map(json.loads, cast.splitlines())
    return head, events


def said(events: list[list[Any]]) -> str:
    return "".join(text for _, kind, text in events if kind == "o")


def cast_of(kept: Kept, token: int = 1) -> bytes:
    return kept.content[kept.artifacts[f"terminal/attempt-{token}.cast"].digest]


async def test_output_and_sizes_with_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As asciinema has it, a character that is split over two pieces too."""
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.01)
    terminal = Terminal()
    with Recording(tmp_path / "cast", terminal, title="t", most=10_000).hearing():
        terminal.show(b"z\xc3")
        terminal.show(b"\xbcge\r\n\xff")
        await until(lambda: b"ge" in _read(tmp_path / "cast"), "it is written")
        terminal.resize(Size(90, 30))
        terminal.show(b"end \xe2\x82")
    head, events = lines((tmp_path / "cast").read_bytes())
    assert (head["version"], head["width"], head["height"], head["title"]) == (2, 120, 40, "t")
    assert said(events) == "züge\r\n\ufffdend \ufffd"
    assert [text for _, kind, text in events if kind == "r"] == ["90x30"]
    times = [seconds for seconds, _, _ in events]
    assert times == sorted(times) and times[0] >= 0


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def test_it_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.001)
    terminal = Terminal()
    with Recording(tmp_path / "cast", terminal, title="t", most=4_000).hearing():
        for _ in range(100):
            terminal.show(b"x" * 200 + b"\n")
            await asyncio.sleep(0.002)
    cast = (tmp_path / "cast").read_bytes()
    assert len(cast) <= 4_000
    assert "the recording ends here: 4,000 bytes are full" in said(lines(cast)[1])


async def test_nothing_shown_is_no_recording(tmp_path: Path) -> None:
    with Recording(tmp_path / "cast", Terminal(), title="t", most=4_000).hearing():
        pass
    assert not (tmp_path / "cast").exists()


async def test_a_task_leaves_its_recording_whether_it_succeeds_or_fails(
    new_task: NewTask, worker_settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redacted; each attempt has its own."""
    monkeypatch.setenv("PLANTED_SECRET", "correct-horse-battery")
    kept = new_task(
        "echo hello; echo $((40 + 2)) correct-horse-battery; test -e ../again || { touch ../again; exit 3; }"
    )
    async with attempt(kept, worker_settings) as opened:
        with pytest.raises(JobFailed):
            await run_task(opened.context)
    head, events = lines(cast_of(kept))
    assert kept.job.id in head["title"]
    assert "hello\r\n42 [redacted]\r\n" in said(events)
    assert b"battery" not in kept.everything()
    kept.job = msgspec.structs.replace(kept.job, attempt=2)
    async with attempt(kept, worker_settings) as opened:
        with pytest.raises(JobFailed):
            await run_task(opened.context)
    assert "hello" in said(lines(cast_of(kept, 2))[1])


async def test_a_cancelled_task_leaves_its_recording(
    new_task: NewTask, worker_settings: WorkerSettings
) -> None:
    kept = new_task("echo started; sleep 60")
    async with attempt(kept, worker_settings) as opened:
        running = asyncio.create_task(run_task(opened.context))
        await until(lambda: b"started" in opened.context.terminal.recent, "it runs")
        opened.running.interrupt("cancel", 1)
        with pytest.raises(JobCancelled):
            await running
    assert "started" in said(lines(cast_of(kept))[1])


async def test_no_recording_where_none_is_wanted(new_task: NewTask, worker_settings: WorkerSettings) -> None:
    kept = new_task("echo hello")
    none = msgspec.structs.replace(worker_settings, terminal_recording_max_bytes=0)
    async with attempt(kept, none) as opened:
        await run_task(opened.context)
    assert not [name for name in kept.artifacts if name.startswith("terminal/")]
