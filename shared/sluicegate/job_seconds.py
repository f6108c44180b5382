"""A histogram for what happens with every job: that of prometheus_client takes six times as long."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Seconds:
    """One series. Counted by one thread, the loop's; read by any."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds: Final = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """The buckets, each with those below it, and the sum."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True)), self._sum


class JobSeconds(Collector):
    """A metric by the values of one label, known beforehand. Without a label its one series is `of[""]`."""

    def __init__(
        self,
        name: str,
        meaning: str,
        registry: CollectorRegistry,
        *,
        bounds: Sequence[float],
        label: str | None = None,
        values: Sequence[str] = ("",),
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = [label] if label else []
        self.of: Final = {value: Seconds(bounds) for value in values}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for value, seconds in self.of.items():
            buckets, total = seconds.read()
            family.add_metric([value] if self._labels else [], buckets, total)
        yield family
