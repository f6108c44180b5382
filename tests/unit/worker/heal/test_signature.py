"""Signatures: what they are made of, and what they do not depend on (H-14)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from services.worker.heal import screen
from services.worker.heal.classify import classify
from services.worker.heal.signature import essence, signature


def test_a_signature_is_short_and_stable() -> None:
    """H-14: other times, places, ids, colours and redraws are no other failure."""
    first = b"10%\r99%\r\x1b[31mError: no job 8f3a1c9e at /srv/a/x.py:12 after 3.2s\x1b[0m\r\n"
    again = "Error: no job 01ab45cd at /opt/b/c/x.py:140 after 1m 2s\n"
    assert re.fullmatch(r"[0-9a-f]{16}", signature(first))
    assert signature(first) == signature(again)
    assert signature(first) != signature(again.replace("no job", "no user"))
    assert essence(first) == "Error: no job * at */x.py:* after *"


def test_the_cause_counts() -> None:
    assert signature("", cause="exit code 1") != signature("", cause="exit code 2")
    assert essence("x\nfatal: y\n", cause="exit code 128") == "exit code 128\nfatal: y"
    assert essence("") == ""


def test_paths_below_a_root_are_told_apart() -> None:
    """Elsewhere only the last name of a path counts: where a worker keeps its files says nothing."""
    one, two = (f"error: bad import in /srv/w/job-7/repo/{folder}/index.ts" for folder in "ab")
    assert signature(one) == signature(two)
    roots = [Path("/srv/w/job-7"), Path("/srv/w/job-7/repo")]
    assert signature(one, roots=roots) != signature(two, roots=roots)
    assert essence(one, roots=roots) == "error: bad import in a/index.ts"


def test_the_order_of_what_runs_at_once_does_not_count() -> None:
    lines = ["FAILED a", "FAILED b", "2 failed"]
    assert signature("\n".join(lines)) == signature("\n".join([lines[1], lines[0], lines[2]]))
    assert signature("\n".join(lines)) != signature("\n".join(lines[1:]))


def test_complaints_go_before_chatter() -> None:
    """The last line counts too; without any complaint the last few lines do."""
    said = "\n".join(["starting", "Error: one", "more", "Error: two", "bye"])
    assert essence(said) == "Error: one\nError: two\nbye"
    assert essence("\n".join(f"line {name}" for name in "abcdefgh")) == "\n".join(
        f"line {name}" for name in "defgh"
    )


def test_what_a_terminal_shows_at_last() -> None:
    """Lines that were drawn again, upwards too, are what was drawn last."""
    assert screen.lines(b"a\r\nb\r\n\x1b[2A\x1b[2Kc\r\n\x1b[Kd\r\n") == ["c", "d", ""]
    assert screen.lines("|\b/\b-\bdone\n1%\r2%\r\n") == ["done", "2%", ""]
    assert screen.lines("a" * 1500 + "b" * 1500) == ["a" * 1000 + " ... " + "b" * 1000]
    assert screen.lines("\x1b]0;title\x07\x1b[1;31mred\x1b[m\x00 \xff") == ["red \xff"]


@pytest.mark.parametrize(
    "junk", [b"-", b"a1", b"1 ", b"a:", b"/a", b"( ", b"error ", b"====1 failed", b"\x1b["]
)
def test_nothing_takes_long(junk: bytes) -> None:
    """70-62: what a controller adds to a step is under 150 ms; ten times that, whatever was put out."""
    output = junk * (65_536 // len(junk))
    began = time.process_time()
    signature(output)
    classify(output, exit_code=1)
    assert time.process_time() - began < 1.5


def test_the_frame_at_which_a_spinner_was_stopped_says_nothing() -> None:
    """A hang behind a bare spinner was another failure each time, by chance of the frame, and never stuck."""
    found = {signature(f"\r|\r/\r-\r{frame}", cause="idle") for frame in ("|", "/", "-", "\\", "⠋", "42%")}
    assert len(found) == 1
