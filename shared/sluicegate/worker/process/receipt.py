"""The receipt of a stop: what was asked, which signals went out, and when nothing was left (C-12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from sluicegate.times import to_rfc3339


class Signalled(Struct, frozen=True, kw_only=True):
    """One signal of the ladder. processes: how many it was delivered to. at_ms: when the first got it."""

    signal: str
    processes: int
    at_ms: int


class StopRequest(Struct, frozen=True, kw_only=True):
    """requested_at_ms: the store's time of the request. delivered_at_ms: when it reached the command."""

    requested_at_ms: int
    delivered_at_ms: int


def receipt(
    request: StopRequest, signals: Sequence[Signalled], *, empty_at_ms: int | None, survivors: Sequence[int]
) -> dict[str, Any]:
    """As it stands in `payload.receipt` of `job.cancelled`.

    empty_at_ms: None with survivors only. No signals: everything had ended by itself before the first one.
    """
    return {
        "requestedAt": to_rfc3339(request.requested_at_ms),
        "deliveredAt": to_rfc3339(request.delivered_at_ms),
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
        "signals": sorted(signals, key=lambda signalled: str(signalled["at"])),
        "groupEmptyAt": None if None in emptied else max(emptied),
        "survivors": [pid for each in receipts for pid in each["survivors"]],
    }
