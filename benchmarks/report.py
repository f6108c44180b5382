"""What was measured: a table for people, JSON for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.subject import Figure, Scale, Subject

HEADINGS = ("measure", "median", "unit", "lowest", "highest", "target", "ceiling", "ratio", "beside")
WIDE = 200


class Measured(Struct, frozen=True, kw_only=True):
    """A subject's figures, or why there are none."""

    subject: Subject
    figures: list[Figure]
    seconds: float
    failure: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    machine: Machine
    scale: Scale
    measured: list[Measured]

    @property
    def complete(self) -> bool:
        return all(each.failure is None for each in self.measured)

    def show(self) -> None:
        """On stdout: with colours and lines on a terminal, plain columns elsewhere."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=WIDE, no_color=True)
        console.print(_place(self.machine))
        table = Table(box=None if not console.is_terminal else _lines(), pad_edge=False)
        for heading in HEADINGS:
            right = heading not in ("measure", "unit", "beside")
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for each in self.measured:
            for figure in each.figures:
                table.add_row(*_row(figure))
            if each.failure is None and each.figures:
                table.add_section()
        console.print(table)
        for each in self.measured:
            if each.failure is not None:
                console.print(
                    f"{each.subject.name} was not measured: {each.failure}", style="red", markup=False
                )

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self._document()), indent=2) + b"\n")

    def _document(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "runs": self.scale.runs,
            "quick": self.scale.quick,
            "subjects": [
                {
                    "name": each.subject.name,
                    "says": each.subject.says,
                    "seconds": round(each.seconds, 1),
                    "failure": each.failure,
                    "figures": [_figure(figure) for figure in each.figures],
                }
                for each in self.measured
            ],
        }


def _figure(figure: Figure) -> dict[str, Any]:
    measure = figure.measure
    return {
        "name": measure.name,
        "unit": measure.unit,
        "better": "more" if measure.more_is_better else "less",
        "value": figure.value,
        "runs": figure.values,
        "target": measure.target,
        "met": figure.met,
        "ceiling": None
        if measure.ceiling is None
        else {"name": measure.ceiling, "value": figure.ceiling, "runs": figure.ceilings},
        "ratio": figure.ratio,
    }


def _row(figure: Figure) -> list[str]:
    measure = figure.measure
    target = ""
    if measure.target is not None:
        target = f"{'≥' if measure.more_is_better else '≤'} {_number(measure.target)}"
    value = _number(figure.value)
    if figure.met is not None:
        colour = "green" if figure.met else "yellow"
        value = f"[{colour}]{value}[/{colour}]"
    return [
        measure.name,
        value,
        measure.unit,
        _number(min(figure.values)),
        _number(max(figure.values)),
        target,
        "" if figure.ceiling is None else _number(figure.ceiling),
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        measure.ceiling or "",
    ]


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 or value == 0 else f"{value:.2f}"


def _place(machine: Machine) -> str:
    where = (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB, {machine.system}; "
        f"Python {machine.python}, {machine.server}, Sluicegate {machine.sluicegate}; load {machine.load:g}"
    )
    return where + ("\nThis machine was busy before: the figures say little." if machine.busy else "")


def _lines() -> Any:
    from rich import box

    return box.SIMPLE
