"""A command's output: redacted, valid, bounded, whole in its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluicegate.errors import LeaseLost
from sluicegate.redact import MARK, Redactor
from sluicegate.worker import command_log as module
from sluicegate.worker.command_log import MAX_PENDING, TAIL_BYTES, CommandLog, pieces
from tests.support.wait import until

SECRET = "correct-horse-battery"
MAX_BYTES = 16 * 1024


class Told:
    """What was emitted. While `hold` is clear the store is slow."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.waiting = 0

    async def emit(self, text: str, stream: str) -> None:
        self.waiting += 1
        await self.hold.wait()
        self.texts.append((text, stream))

    def all(self, stream: str = "stdout") -> str:
        return "".join(text for text, where in self.texts if where == stream)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def log(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], CommandLog]:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    return lambda: CommandLog(Redactor([SECRET]), told.emit, tmp_path / "log", max_bytes=MAX_BYTES)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_secrets_and_characters_split_over_chunks(
    log: Callable[[], CommandLog], told: Told, tmp_path: Path, size: int
) -> None:
    """Q-6, 70-31: what is emitted does not depend on how the output came in pieces."""
    said = f"züge 🚂 password={SECRET} ende\n".encode()
    output = log()
    for start in range(0, len(said), size):
        output.take(said[start : start + size], "stdout")
    await output.close()
    redacted = said.replace(SECRET.encode(), MARK)
    assert told.all() == redacted.decode()
    assert (tmp_path / "log").read_bytes() == redacted


async def test_streams_are_apart(log: Callable[[], CommandLog], told: Told) -> None:
    output = log()
    half = SECRET.encode()[:10]
    output.take(b"out " + half, "stdout")
    output.take(b"err\n", "stderr")
    output.take(SECRET.encode()[10:], "stdout")
    await output.close()
    assert (told.all("stdout"), told.all("stderr")) == (f"out {MARK.decode()}", "err\n")


async def test_output_that_is_no_text(log: Callable[[], CommandLog], told: Told, tmp_path: Path) -> None:
    raw = bytes(range(256)) * 300
    output = log()
    output.take(raw, "stdout")
    output.take(b"\xf0\x9f", "stdout")  # a character that never ends
    await output.close()
    assert told.all() == (raw + b"\xf0\x9f").decode("utf-8", "replace")
    assert (tmp_path / "log").read_bytes() == raw + b"\xf0\x9f"
    assert all(len(msgspec.json.encode(text)) <= MAX_BYTES for text, _ in told.texts)


@pytest.mark.parametrize("character", ["a", "\0", "\x1b", "🚂", '"'])
def test_each_piece_fits_into_an_event(character: str) -> None:
    """A terminal's control characters take six bytes each in JSON: such output failed the whole attempt."""
    text = character * 50_000
    parts = list(pieces(text, MAX_BYTES))
    assert "".join(parts) == text
    assert max(len(msgspec.json.encode(part)) for part in parts) <= MAX_BYTES
    assert len(parts) < 100


async def test_it_tells_while_the_command_runs(log: Callable[[], CommandLog], told: Told) -> None:
    output = log()
    output.take(b"first\n", "stdout")
    await until(lambda: told.all() == "first\n", "the first line is told")
    output.take(b"second\n", "stdout")
    await until(lambda: told.all() == "first\nsecond\n", "the second line is told")
    await output.close()


async def test_a_flood_is_bounded_and_the_file_has_it_all(
    log: Callable[[], CommandLog], told: Told, tmp_path: Path
) -> None:
    """Q-6: the store is slow, the command is not; what is left out is said, where it is missing."""
    told.hold.clear()
    output = log()
    output.take(b"first\n", "stdout")
    await until(lambda: told.waiting, "the store is slow")
    line = b"x" * 1023 + b"\n"
    for _ in range(2048):
        output.take(line, "stdout")
    told.hold.set()
    await output.close()
    text = told.all()
    assert len(text) < MAX_PENDING + 200
    assert text.startswith("first\nxxx")
    assert text.endswith(" characters left out: see the full log]\n")
    left_out = int(text.splitlines()[-1].split()[0].removeprefix("["))
    assert len(text.rpartition("[")[0]) + left_out == len("first\n") + 2048 * 1024
    assert (tmp_path / "log").read_bytes() == b"first\n" + line * 2048


async def test_a_single_giant_chunk(log: Callable[[], CommandLog], told: Told) -> None:
    output = log()
    output.take(b"y" * (MAX_PENDING + 1), "stderr")
    await output.close()
    assert told.all("stderr") == f"[{MAX_PENDING + 1} characters left out: see the full log]\n"


async def test_closing_waits_for_what_is_being_told(log: Callable[[], CommandLog], told: Told) -> None:
    """The end of a command cut off the output that was just on its way."""
    told.hold.clear()
    output = log()
    output.take(b"a" * 100_000, "stdout")
    await until(lambda: told.waiting, "the first piece is on its way")
    output.take(b"the end", "stdout")
    closing = asyncio.create_task(output.close())
    await asyncio.sleep(0)
    told.hold.set()
    await closing
    assert told.all() == "a" * 100_000 + "the end"


async def test_what_the_lease_forbids_ends_the_telling_not_the_file(tmp_path: Path) -> None:
    async def emit(text: str, stream: str) -> None:
        raise LeaseLost("it is another's")

    output = CommandLog(Redactor(), emit, tmp_path / "log", max_bytes=MAX_BYTES)
    output.take(b"one\n", "stdout")
    with pytest.raises(LeaseLost):
        await output.close()
    assert (tmp_path / "log").read_bytes() == b"one\n"


async def test_a_command_that_says_nothing_tells_nothing(log: Callable[[], CommandLog], told: Told) -> None:
    await log().close()
    assert told.texts == []


@pytest.mark.parametrize("size", [1, 997, 70_000])
async def test_the_tail_begins_within_no_secret(log: Callable[[], CommandLog], size: int) -> None:
    """H-13: the last 64 KiB of raw output began in the middle of one, which nothing found any more."""
    output = log()
    data = f"{SECRET} ".encode() + b"x" * (TAIL_BYTES - len(SECRET) // 2)
    for start in range(0, len(data), size):
        output.take(data[start : start + size], "stdout")
    await output.close()
    assert len(output.tail) <= TAIL_BYTES
    assert SECRET[-5:].encode() not in output.tail
    assert bytes(output.tail) == Redactor([SECRET]).data(data)[-TAIL_BYTES:]
