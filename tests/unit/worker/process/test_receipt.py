"""What a receipt tells of the processes that were there: enough to know them by, and no secret."""

from __future__ import annotations

import msgspec
import pytest

from sluicegate.redact import Redactor
from sluicegate.worker.process.receipt import SHOWN_CHARACTERS, SHOWN_PROCESSES, Process, whole

SECRET = "correct-horse-battery-staple"
EMPTY = {"processes": [], "signals": [], "survivors": []}


def shown(command: bytes, *, cut: bool = False) -> str:
    process = Process(pid=7, parent_pid=1, command=command, cut=cut)
    told = process.shown(Redactor([SECRET]))
    assert (told["pid"], told["parentPid"]) == (7, 1)
    return str(told["command"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"sleep 60", "sleep 60"),
        (b"bash -c echo a\n\n  echo b", "bash -c echo a echo b"),
        (f"curl -u me:{SECRET}".encode(), "curl -u me:[redacted]"),
        (b"git clone https://me:hunter22@example.com/a", "git clone https://[redacted]@example.com/a"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (SECRET[:5].encode(), SECRET[:5]),
    ],
)
def test_a_command_line_is_told_in_one_line_without_secrets(command: bytes, expected: str) -> None:
    """H-13."""
    assert shown(command) == expected


@pytest.mark.parametrize("kept", [1, 10, len(SECRET) - 1])
def test_a_secret_that_is_cut_off_is_not_told_in_part(kept: int) -> None:
    """H-13: its beginning is no secret that a redactor knows."""
    assert shown(f"curl -u me:{SECRET[:kept]}".encode(), cut=True) == "curl -u me:..."


def test_a_long_one_is_shortened_once_its_secrets_are_out() -> None:
    line = "x" * (SHOWN_CHARACTERS - 5) + SECRET
    assert shown(line.encode()) == "x" * (SHOWN_CHARACTERS - 5) + "[reda..."


def test_one_receipt_of_several_commands() -> None:
    """C-12: it is empty when the last is, and not before."""

    def at(second: int) -> str:
        return f"2026-01-31T12:00:0{second}.000Z"

    def signal(name: str, second: int) -> dict[str, object]:
        return {"signal": name, "at": at(second), "processes": 1}

    first = EMPTY | {"signals": [signal("SIGINT", 1), signal("SIGTERM", 3)], "groupEmptyAt": at(4)}
    second = EMPTY | {"signals": [signal("SIGINT", 2)], "groupEmptyAt": at(2), "processes": [{"pid": 2}] * 60}
    both = whole([first, second], requested_at_ms=0, delivered_at_ms=1)
    assert [(each["signal"], each["at"]) for each in both["signals"]] == [
        ("SIGINT", at(1)), ("SIGINT", at(2)), ("SIGTERM", at(3)),
    ]  # fmt: skip
    assert (both["groupEmptyAt"], both["survivors"]) == (at(4), [])
    assert (both["requestedAt"], both["deliveredAt"]) == (
        "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z",
    )  # fmt: skip
    assert len(both["processes"]) == SHOWN_PROCESSES
    third = EMPTY | {"groupEmptyAt": None, "survivors": [7]}
    left = whole([first, third], requested_at_ms=0, delivered_at_ms=1)
    assert (left["groupEmptyAt"], left["survivors"]) == (None, [7])


def test_long_command_lines_leave_room_for_the_rest() -> None:
    """An event has a limit, and an acknowledgement that passes it would be refused."""
    shown = Process(pid=2**22, parent_pid=2**22, command="日".encode() * 500, cut=True).shown(Redactor())
    told = whole(
        [EMPTY | {"groupEmptyAt": "x", "processes": [shown] * 50}], requested_at_ms=0, delivered_at_ms=1
    )
    assert 10 < len(told["processes"]) < 50
    assert len(msgspec.json.encode(told)) < 16 * 1024


def test_without_a_command_nothing_was_there() -> None:
    """70-48."""
    none = whole([], requested_at_ms=0, delivered_at_ms=1)
    assert none["groupEmptyAt"] == none["deliveredAt"] == "1970-01-01T00:00:00.001Z"
    assert (none["processes"], none["signals"], none["survivors"]) == ([], [], [])
