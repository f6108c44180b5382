"""How jobs flow, as charts that the server draws: bars by type, with the same in words and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from sluicegate.store.flow import EVERY_TYPE, Flow, Ring, What
from sluicegate.times import to_rfc3339

HEIGHT: Final = 60
SLOT: Final = 5
"""Width of a bar with the gap beside it, in units of the drawing."""
NAMED: Final = 4
"""Types that have a colour of their own; those of the rest are drawn as one."""
ROWS: Final = 12
OTHER: Final = "other types"


class Bars(Struct, frozen=True):
    """One type's part of all bars: number of its colour, and the path that draws it."""

    name: str
    colour: int
    path: str
    total: int


class Chart(Struct, frozen=True, kw_only=True):
    """highest: what the top of the drawing stands for. width: of the drawing, in its own units."""

    id: str
    title: str
    says: str
    bars: list[Bars]
    highest: int
    width: int
    begins: str
    ends: str


class Row(Struct, frozen=True, kw_only=True):
    """A type in numbers, those of COLUMNS for the hour and the day. waiting: None when not known by type."""

    name: str
    waiting: int | None
    hour: tuple[int, ...]
    day: tuple[int, ...]


class Drawn(Struct, frozen=True, kw_only=True):
    """legend: types and the numbers of their colours. charts: hour and day of each kind."""

    legend: list[tuple[str, int]]
    charts: list[Chart]
    rows: list[Row]
    empty: bool


KINDS: Final[tuple[tuple[str, str, What | None, str], ...]] = (
    ("succeeded", "Succeeded", "succeeded", "succeeded"),
    ("failed", "Failed attempts", "failed", "attempts failed"),
    ("waiting", "Waiting", None, "waited at most"),
)
COLUMNS: Final[tuple[What, ...]] = ("came", "succeeded", "failed", "dead")


def draw(flow: Flow) -> Drawn:
    types = _types(flow)
    named = types[:NAMED]
    rest = [kind for kind in types if kind not in named]
    groups = [(_name(kind), [kind]) for kind in named] + ([(OTHER, rest)] if rest else [])
    rings = (("hour", "last hour", flow.hour), ("day", "last day", flow.day))
    return Drawn(
        legend=[(name, at) for at, (name, _) in enumerate(groups, 1)],
        charts=[
            _chart(f"{name}-{span}", f"{title}, {words}", said, _series(flow, ring, what, groups), ring)
            for name, title, what, said in KINDS
            for span, words, ring in rings
        ],
        rows=[_row(flow, kind) for kind in types[:ROWS]],
        empty=not types,
    )


def _types(flow: Flow) -> list[str]:
    """All that came, ended or waits, the most in the last day first; what is no type at the end."""
    found = flow.hour.types | flow.day.types | set(flow.waiting)
    size = {
        kind: sum(flow.day.total(what, kind) for what in ("came", "succeeded", "failed"))
        + flow.waiting.get(kind, 0)
        for kind in found
    }
    return sorted(found, key=lambda kind: (kind == EVERY_TYPE, -size[kind], kind))


def _series(
    flow: Flow, ring: Ring, what: What | None, groups: Sequence[tuple[str, list[str]]]
) -> list[tuple[str, int, list[int]]]:
    """Name, colour and values of each group of types; what: None for how many waited."""
    if what is None and EVERY_TYPE in flow.waiting:
        return [("all types", 0, ring.waiting(flow.waiting[EVERY_TYPE]))]
    series = []
    for colour, (name, kinds) in enumerate(groups, 1):
        each = [
            ring.waiting(flow.waiting.get(kind, 0), kind) if what is None else ring.values(what, kind)
            for kind in kinds
        ]
        series.append((name, colour, [sum(values) for values in zip(*each, strict=True)]))
    return series


def _chart(id: str, title: str, said: str, series: Sequence[tuple[str, int, list[int]]], ring: Ring) -> Chart:
    columns = len(ring.buckets)
    sums = [sum(values[at] for _, _, values in series) for at in range(columns)]
    highest = max(sums, default=0)
    bars, below = [], [0] * columns
    for name, colour, values in series:
        path, above = [], [low + value for low, value in zip(below, values, strict=True)]
        for at, (low, high) in enumerate(zip(below, above, strict=True)):
            bottom, top = _level(low, highest), _level(high, highest)
            if top > bottom:
                path.append(f"M{at * SLOT} {HEIGHT - bottom}v{bottom - top}h{SLOT - 1}v{top - bottom}z")
        below = above
        if path:
            bars.append(Bars(name, colour, "".join(path), sum(values)))
    begins = ring.first * ring.seconds * 1000
    return Chart(
        id=id,
        title=title,
        says=_says(said, bars, sums, ring, waiting=id.startswith("waiting")),
        bars=bars,
        highest=highest,
        width=columns * SLOT - 1,
        begins=to_rfc3339(begins),
        ends=to_rfc3339(begins + columns * ring.seconds * 1000),
    )


def _level(value: int, highest: int) -> int:
    """A height of the drawing; what is not nothing can be seen."""
    return max(1, round(value * HEIGHT / highest)) if value else 0


def _says(said: str, bars: Sequence[Bars], sums: Sequence[int], ring: Ring, *, waiting: bool) -> str:
    """The chart in a sentence."""
    stretch = "a minute" if ring.seconds == 60 else f"{ring.seconds // 60} minutes"
    if not any(sums):
        return "None."
    if waiting:
        return f"{max(sums):,} {said}, {sums[-1]:,} do now."
    by_type = ", ".join(f"{bar.name} {bar.total:,}" for bar in bars)
    return f"{sum(sums):,} {said}, at most {max(sums):,} in {stretch}: {by_type}."


def _row(flow: Flow, kind: str) -> Row:
    by_type = EVERY_TYPE not in flow.waiting
    return Row(
        name=_name(kind),
        waiting=flow.waiting.get(kind, 0) if by_type else None,
        hour=tuple(flow.hour.total(what, kind) for what in COLUMNS),
        day=tuple(flow.day.total(what, kind) for what in COLUMNS),
    )


def _name(kind: str) -> str:
    return OTHER if kind == EVERY_TYPE else kind
