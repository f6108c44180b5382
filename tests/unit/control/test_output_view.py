"""What of a history is shown: filters, a search over whole lines, nothing raw."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from markupsafe import Markup

from services.control.dashboard import output_view
from services.control.dashboard.output_view import OutputQuery, View, fresh
from services.control.dashboard.pieces import Piece, plain_text
from sluicegate.model import Event, EventLevel


def piece(kind: str, message: str = "said", level: EventLevel = "info", **payload: Any) -> Piece:
    return Piece(
        Event(
            id="1-1", job_id="j", level=level, message=message, payload={"kind": kind, **payload},
            created_at="2026-01-31T12:00:00.000Z",
        )
    )  # fmt: skip


def out(text: str, **payload: Any) -> Piece:
    return piece("log", text=text, stream="pty", **payload)


def read(markup: str) -> str:
    return html.unescape(re.sub("<[^>]+>", "", markup))


def view(show: Any = "all", q: str = "") -> View:
    return View(OutputQuery(show=show, q=q))


PIECES = (out("hello\n"), piece("task.stage.started", "Stage"), piece("task.step.failed", "Bad", "warn"))


@pytest.mark.parametrize(
    ("show", "said"),
    [
        ("all", ["hello", "Stage", "Bad"]),
        ("stages", ["Stage", "Bad"]),
        ("logs", ["hello"]),
        ("warnings", ["Bad"]),
    ],
)
def test_filters(show: Any, said: list[str]) -> None:
    shown = read(fresh(view(show), PIECES))
    assert [word for word in ("hello", "Stage", "Bad") if word in shown] == said


def test_a_search_shows_whole_lines() -> None:
    """Also of a line that came in two pieces, in any case; events are found by their sentence."""
    seen = view(q="NEEDLE")
    assert seen.take(out("hay\none nee")) == Markup()
    found = seen.take(out("dle two\nhay\nthe needle"))
    assert read(found).strip() == "12:00:00 one needle two"
    assert "<mark>needle</mark>" in found
    assert read(seen.rest(out("x"))).strip() == "12:00:00 the needle"
    assert "<mark>Needle</mark>" in seen.take(piece("task.note", "A Needle"))
    assert seen.take(piece("task.note", "hay")) == Markup()


@pytest.mark.parametrize("q", ["", "red"])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_sequence_that_came_in_two_pieces_is_none(q: str, at: int) -> None:
    """Output is read as it comes, and may be cut anywhere."""
    seen, raw = view("logs", q), "\x1b[31mred\x1b[0m\n"
    shown = read(seen.take(out(raw[:at])) + seen.take(out(raw[at:])))
    assert shown.replace("12:00:00", "").strip() == "red"


def test_a_search_is_for_text_as_it_stands() -> None:
    assert read(view(q="<b>.*").take(out("a <b>.* b\nabc\n"))).strip() == "12:00:00 a <b>.* b"
    assert "<mark>&lt;b&gt;</mark>" in view(q="<b>").take(piece("x", "a <b>"))


def test_where_output_comes_from_is_said_once() -> None:
    seen = view("logs")
    where = {"stage": "execute", "stepId": "build", "stepIndex": 1, "attempt": 2}
    assert "execute, step 2 (build), attempt 2" in read(seen.take(out("x\n", **where)))
    assert read(seen.take(out("y\n", **where))) == "y\n"
    assert "attempt 3" in read(seen.take(out("z\n", **{**where, "attempt": 3})))


def test_a_flood_shows_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_view, "MOST_PIECES", 3)
    shown = read(fresh(view(), [out(f"{number}\n") for number in range(10)]))
    assert "7 pieces came faster than they can be read" in shown
    assert shown.endswith("7\n8\n9\n")


def test_a_line_without_an_end_does_not_grow_for_ever() -> None:
    seen = view(q="x")
    for _ in range(10):
        seen.take(out("x" * 8_000))
    assert sum(map(len, seen._begun.values())) <= output_view.LONGEST_LINE


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("bell\x07 null\x00 tab\t", "bell null tab\t"),
        ("\x1b[?25l\x1b[2Kdone", "done"),
        ("\x9b31mred", "31mred"),
        ("cut \x1b[1;3", "cut "),
        ("\x1b(Bset", "set"),
        ("naïve – ✓", "naïve – ✓"),
    ],
)
def test_terminal_output_as_plain_text(raw: str, shown: str) -> None:
    assert plain_text(raw) == shown


@pytest.mark.parametrize("payload", [None, {}, {"kind": 7}, {"kind": "log"}, {"kind": "log", "text": []}])
def test_odd_events_are_shown_as_text(payload: dict[str, Any] | None) -> None:
    event = Event(
        id="1-1", job_id="j", level="info", message="<m>", payload=payload,
        created_at="2026-01-31T12:00:00.000Z",
    )  # fmt: skip
    assert "<m>" not in view().take(Piece(event))
