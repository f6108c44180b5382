"""What is measured: a subject yields rounds, a round has readings, a measure's readings become a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from msgspec import Struct


class Unmeasured(Exception):
    """A subject could not be measured; the text says why."""


class Scale(Struct, frozen=True):
    """How much is done: `runs` measured rounds after the warm-up, fewer jobs in each when quick."""

    runs: int
    quick: bool = False

    @property
    def warm_up(self) -> int:
        """Rounds whose readings are dropped: connections are made, scripts loaded, code paths warm."""
        return 0 if self.quick else 1

    @property
    def rounds(self) -> range:
        return range(self.warm_up + self.runs)

    def of(self, full: int, *, quick: int) -> int:
        return quick if self.quick else full


class Measure(Struct, frozen=True, kw_only=True):
    """One number: what it is, and which way is better. ceiling: what it stands beside, on the same server."""

    name: str
    unit: str
    more_is_better: bool = False
    target: float | None = None
    ceiling: str | None = None


class Reading(NamedTuple):
    value: float
    ceiling: float | None = None


Round = dict[Measure, Reading]
Rounds = Callable[[Scale], AsyncGenerator[Round, None]]


class Subject(Struct, frozen=True, kw_only=True):
    """rounds: yields `len(scale.rounds)` rounds, of which the first are for warming up.

    long: measured only when it is named, since all the others are to be done in ten minutes.
    """

    name: str
    says: str
    rounds: Rounds
    limit_seconds: float = 90.0
    long: bool = False


class Figure(Struct, frozen=True, kw_only=True):
    """The readings of a measure over all runs. ratio: the median of each run's reading to its ceiling."""

    measure: Measure
    values: list[float]
    ceilings: list[float]

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def ceiling(self) -> float | None:
        return statistics.median(self.ceilings) if self.ceilings else None

    @property
    def ratio(self) -> float | None:
        # Run by run: what disturbed a run disturbed its ceiling too.
        pairs = [(value, top) for value, top in zip(self.values, self.ceilings, strict=False) if top]
        return statistics.median(value / top for value, top in pairs) if pairs else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        target = self.measure.target
        if target is None:
            return None
        return self.value >= target if self.measure.more_is_better else self.value <= target


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """The figures of these rounds, in the order in which the first round has them."""
    found = []
    for measure in rounds[0] if rounds else ():
        readings = [each[measure] for each in rounds]
        found.append(
            Figure(
                measure=measure,
                values=[reading.value for reading in readings],
                ceilings=[reading.ceiling for reading in readings if reading.ceiling is not None],
            )
        )
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
