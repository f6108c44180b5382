"""All numbers that come from the store, of one moment, in one call: counts, totals, ages."""

from __future__ import annotations

from msgspec import Struct

from sluicegate.model import Counts, SystemState
from sluicegate.pauses import SCOPES, Marks
from sluicegate.store import rendering
from sluicegate.store.connection import Store


class Figures(Struct, frozen=True, kw_only=True):
    """counters: totals by name, like `finished:succeeded`. oldest_waiting_ms: age by priority band, or None.

    lanes: lane streams that have entries. due: delayed jobs whose time has come and nobody promoted yet.
    narrow_pauses: how many of each scope are in force.
    """

    system: SystemState
    now_ms: int
    counts: Counts
    counters: dict[str, int]
    oldest_waiting_ms: dict[str, int | None]
    lanes: int
    due: int
    dead_letter_entries: int
    narrow_pauses: dict[str, int]


async def read(store: Store) -> Figures:
    """Read them; changes nothing."""
    pause, now, flat, counters, oldest, marks = await store.run("figures")
    counts = {name: int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Figures(
        system=rendering.system(pause),
        now_ms=int(now),
        lanes=counts.pop("lanes"),
        due=counts.pop("due"),
        dead_letter_entries=counts.pop("dead_letter_entries"),
        counts=Counts(**counts),
        counters={name: int(value) for name, value in rendering.fields(counters).items()},
        oldest_waiting_ms={
            band: int(now) - int(since) if since else None for band, since in rendering.fields(oldest).items()
        },
        narrow_pauses=_by_scope(marks),
    )


def _by_scope(marks: str) -> dict[str, int]:
    in_force = [name.partition("=")[0] for name in Marks.of_text(marks).in_force]
    return {scope: in_force.count(scope) for scope in SCOPES}
