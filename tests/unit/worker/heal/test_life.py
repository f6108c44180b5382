"""What counts as a sign of life: new lines and new drawings do, a spinner that turns does not (H-1)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import pytest

from services.worker.heal.life import MOST_FACES, Redraws


def lives(chunks: Iterable[str | bytes]) -> list[bool]:
    redraws = Redraws()
    return [redraws.alive(each.encode() if isinstance(each, str) else each) for each in chunks]


DOTS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNERS = {
    "one character": [f"\r{frame}" for frame in "|/-\\"],
    "with a text": [f"\r{frame} Working" for frame in DOTS],
    "written over backwards": [f"\b{frame}" for frame in "|/-\\"],
    "its line erased first": [f"\x1b[2K\r{frame} Working" for frame in DOTS],
    "erased behind": [f"\r{frame} Working\x1b[K" for frame in DOTS],
    "the return at the end": [f"{frame} Working\r" for frame in DOTS],
    "in colour": [f"\r\x1b[3{n}m{frame}\x1b[0m Working" for n, frame in enumerate("|/-\\")],
    "a line and up again": [f"\x1b[1A\x1b[2K{frame} Working\r\n" for frame in DOTS],
    "two lines and up again": [f"\x1b[2A\x1b[2K{frame} Working\n\x1b[2KEsc to interrupt\n" for frame in DOTS],
    "a whole screen": [f"\x1b[H\x1b[2J{frame} Working\r\n\r\nnothing else\r\n" for frame in DOTS],
    "saved and restored": [f"\x1b8{frame} Working" for frame in DOTS],
    "growing dots": [f"\rLoading{'.' * n}   " for n in range(4)],
    "a bouncing bar": [f"\r[{' ' * n}<=>{' ' * (9 - n)}]" for n in (*range(10), *range(9, -1, -1))],
    "a title": [f"\x1b]0;{frame} agent\x07\r{frame} Working" for frame in DOTS],
}


@pytest.mark.parametrize("spinner", SPINNERS.values(), ids=SPINNERS)
def test_a_spinner_is_no_life_once_it_repeats(spinner: list[str]) -> None:
    turns = list(itertools.islice(itertools.cycle(spinner), 6 * len(spinner)))
    assert not any(lives(turns)[2 * len(spinner) :])


@pytest.mark.parametrize(
    "clock",
    [
        "{n}s",
        "{n} s",
        "(0m {n}s)",
        "00:{n:02}",
        "1:02:{n:02}",
        "{n}.{n}s",
        "{n} seconds",
        "0 B, {n} kB/s",
        "{n}.5it/s",
    ],
)
def test_nor_is_a_clock_beside_it(clock: str) -> None:
    turns = [f"\r{frame} Thinking {clock.format(n=n)}" for n, frame in enumerate(DOTS * 6)]
    assert not any(lives(turns)[2 * len(DOTS) :])


def test_a_spinner_that_is_split_anywhere_is_no_life_either() -> None:
    """Reads end where they end: in a text, in a character, in an escape sequence, before a line feed."""
    turn = "".join(f"\x1b[1A\x1b[2K\x1b[36m{frame}\x1b[0m Working\r\n" for frame in DOTS).encode()
    for size in (1, 2, 3, 5, 7, 11):
        stream = turn * 60
        found = lives(stream[at : at + size] for at in range(0, len(stream), size))
        assert not any(found[len(found) // 2 :]), size


BARS = {
    "a percentage": [f"\r{n:3}%" for n in range(50)],
    "a bar": [f"\r[{'#' * n:50}]" for n in range(50)],
    "a bar with clock and speed": [f"\r{n}%|{'█' * n}| {n}/50 [00:{n:02}<01:20, 1.2it/s]" for n in range(50)],
    "a counter in a spinner": [f"\r\x1b[2K{DOTS[n % 10]} fetched {n} objects" for n in range(50)],
    "lines drawn again": [f"\x1b[2A\x1b[2Ka {n} kB\n\x1b[2Kb {n // 7} kB\n" for n in range(50)],
    "a screen": [f"\x1b[Hsteps\r\n{n} done\r\n" for n in range(50)],
    "dots": ["."] * 50,
    "lines": [f"line {n}\r\n" for n in range(50)],
    "the same line": ["still creating...\r\n"] * 50,
    "the same line in colour": ["\x1b[33mwaiting\x1b[0m\x1b[K\r\n"] * 50,
    "blank lines": ["\r\n"] * 50,
}


@pytest.mark.parametrize("bar", BARS.values(), ids=BARS)
def test_what_grows_is_life_each_time(bar: list[str]) -> None:
    assert all(lives(bar))


def test_lines_after_a_spinner_are_life_again() -> None:
    """Also one that has been there before: what scrolls is work."""
    turns = [f"\r{frame} Working" for frame in DOTS * 3]
    found = lives([*turns, "\r\n", *(["still creating...\r\n"] * 3)])
    assert found[-3:] == [True] * 3


def test_a_line_that_says_something_new_in_place_of_the_spinner_is_life() -> None:
    turns = [f"\r{frame} Working" for frame in DOTS * 3]
    assert lives([*turns, "\rCompiled 3 files"])[-2:] == [False, True]


def test_what_moves_no_text_is_no_life() -> None:
    assert lives(["\x1b[?25l", "\x1b]0;title\x07", "\x1b[0m", "\x07", "\x1b[1A", "\r"]) == [False] * 6


def test_its_memory_is_bounded_and_the_latest_stays() -> None:
    redraws = Redraws()
    for n in range(3 * MOST_FACES):
        assert redraws.alive(b"\r%d objects" % n)
    assert not redraws.alive(b"\r%d objects" % (3 * MOST_FACES - 1))
    assert len(redraws._faces) <= MOST_FACES


def test_odd_bytes_break_nothing() -> None:
    redraws = Redraws()
    for chunk in (
        b"\xff\xfe\x1b",
        b"[",
        b"\x1b[" + b"1;" * 3000,
        b"\x1b]" + b"x" * 9000,
        b"\x1b[999999999999A",
        b"",
    ):
        redraws.alive(chunk)
    assert redraws.alive(b"\r\x1b[Kdone")


def test_heavy_output_costs_little() -> None:
    """1 MB of lines, plain ones and coloured ones, in a small part of the second that a test may take."""
    plain = b"".join(b"%d\r\n" % n for n in range(140_000))
    coloured = b"".join(b"\x1b[32mok\x1b[0m %d\r\n" % n for n in range(50_000))
    for output in (plain, coloured):
        redraws, began = Redraws(), time.process_time()
        for at in range(0, len(output), 65536):
            assert redraws.alive(output[at : at + 65536])
        assert time.process_time() - began < 1.0
