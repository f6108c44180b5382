"""The receipt of a stop: what was asked, which signals went out, and when nothing was left (C-12)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

from msgspec import Struct, json

from sluicegate.redact import Redactor
from sluicegate.times import to_rfc3339

SHOWN_PROCESSES: Final = 50
SHOWN_BYTES: Final = 12 * 1024
"""Of all of them as JSON: a receipt is part of an event, and those have a limit."""
SHOWN_CHARACTERS: Final = 200
"""Of a command line. More of it is read, so that a secret in it is known as one."""


class Signalled(Struct, frozen=True, kw_only=True):
    """One signal of the ladder. processes: how many it was delivered to. at_ms: when the first got it."""

    signal: str
    processes: int
    at_ms: int


class Process(Struct, frozen=True, kw_only=True):
    """One of the tree as it stood when the stop was asked for. cut: its command line was longer."""

    pid: int
    parent_pid: int
    command: bytes
    cut: bool

    def shown(self, redactor: Redactor) -> dict[str, Any]:
        stream = redactor.stream()
        # Of what is cut off, the end may be the beginning of a secret: the stream holds that back.
        told = stream.feed(self.command) + (b"" if self.cut else stream.close())
        words = " ".join(told.decode("utf-8", "replace").split())
        if self.cut or len(words) > SHOWN_CHARACTERS:
            words = words[:SHOWN_CHARACTERS] + "..."
        return {"pid": self.pid, "parentPid": self.parent_pid, "command": words}


class StopRequest(Struct, frozen=True, kw_only=True):
    """requested_at_ms: the store's time of the request. delivered_at_ms: when it reached the command."""

    requested_at_ms: int
    delivered_at_ms: int


def receipt(
    request: StopRequest,
    processes: Sequence[dict[str, Any]],
    signals: Sequence[Signalled],
    *,
    empty_at_ms: int | None,
    survivors: Sequence[int],
) -> dict[str, Any]:
    """As it stands in `payload.receipt` of `job.cancelled`.

    empty_at_ms: None with survivors only. No signals: everything had ended by itself before the first one.
    """
    return {
        "requestedAt": to_rfc3339(request.requested_at_ms),
        "deliveredAt": to_rfc3339(request.delivered_at_ms),
        "processes": list(processes),
        "signals": [
            {"signal": each.signal, "at": to_rfc3339(each.at_ms), "processes": each.processes}
            for each in signals
        ],
        "groupEmptyAt": None if empty_at_ms is None else to_rfc3339(empty_at_ms),
        "survivors": list(survivors),
    }


def whole(
    receipts: Sequence[dict[str, Any]], *, requested_at_ms: int, delivered_at_ms: int
) -> dict[str, Any]:
    """One receipt of several commands that were stopped together; of none, that nothing was running.

    delivered_at_ms: when the request reached the worker.
    """
    signals = [signalled for each in receipts for signalled in each["signals"]]
    emptied = [each["groupEmptyAt"] for each in receipts] or [to_rfc3339(delivered_at_ms)]
    return {
        "requestedAt": to_rfc3339(requested_at_ms),
        "deliveredAt": to_rfc3339(delivered_at_ms),
        "processes": _as_many_as_fit([process for each in receipts for process in each["processes"]]),
        "signals": sorted(signals, key=lambda signalled: str(signalled["at"])),
        "groupEmptyAt": None if None in emptied else max(emptied),
        "survivors": [pid for each in receipts for pid in each["survivors"]],
    }


def _as_many_as_fit(processes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    sizes = accumulate(len(json.encode(each)) for each in processes)
    fitting = sum(size <= SHOWN_BYTES for size in sizes)
    return list(processes[: min(fitting, SHOWN_PROCESSES)])
