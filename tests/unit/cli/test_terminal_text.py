"""A job's output cannot steer the terminal that shows it; its colours stay."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.cli.terminal_text import TerminalText, plain

HARMFUL = (
    "a\x1b]0;title\x07b\x1b[2Jc\x1b[10;10Hd\x1b]52;c;ZXZpbA==\x1b\\e\x1bPq\x1b\\f\x1b[6n\x08g\x9b2Jh\x1bci"
)


def shown(*chunks: str) -> str:
    safe = TerminalText()
    return "".join(safe.feed(chunk) for chunk in chunks)


def test_only_text_is_left_of_harmful_sequences() -> None:
    assert shown(HARMFUL) == "abcdefg2Jhi"
    assert plain(HARMFUL) == "abcdefg2Jhi"


def test_colours_line_ends_and_tabs_stay() -> None:
    text = "\x1b[1;31mred\x1b[0m\tx\r\n\x1b[38:2:1:2:3mrgb\x1b[m\n"
    assert shown(text) == text
    assert plain(text) == "red x rgb"


@pytest.mark.parametrize("cut", range(len(HARMFUL)))
def test_a_sequence_cut_in_two_is_still_one(cut: int) -> None:
    assert shown(HARMFUL[:cut], HARMFUL[cut:]) == shown(HARMFUL)


@given(st.lists(st.text("a\x1b[]0;m\x07\\PJ\n\x9b", max_size=8)))
def test_nothing_but_colour_gets_through(chunks: list[str]) -> None:
    left = shown(*chunks).replace("\n", "")
    while "\x1b" in left:
        at = left.index("\x1b")
        end = left.index("m", at)
        assert set(left[at + 2 : end]) <= set("0123456789;:") and left[at + 1] == "["
        left = left[:at] + left[end + 1 :]
    assert left.isprintable()


def test_an_endless_sequence_does_not_hold_the_output_for_ever() -> None:
    assert "after" in shown("\x1b]" + "x" * 10_000, "after")


def test_a_screen_shows_what_was_meant() -> None:
    screen = pyte.Screen(40, 4)
    pyte.Stream(screen).feed(shown("one\r\n", "\x1b[2J\x1b[H\x1b[31mtwo\x1b[0m\r\n", "\x1b[1;1Hthree"))
    assert [line.rstrip() for line in screen.display] == ["one", "two", "three", ""]
    assert screen.buffer[1][0].fg == "red"
    assert not screen.title
