"""One valid Prometheus page from the pages of several processes.

Samples of the same name and labels are added up: the processes counted different things. Families that every
process reads from the same store are taken from the first page that has samples of them, so that they fit
together. What describes a process (`process_*`, its version) is kept apart by a label `service`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

PER_PROCESS: Final = ("process_", "python_", "sluicegate_build_info")
Labels = frozenset[tuple[str, str]]


def merge(pages: Mapping[str, str], of_the_store: Collection[str] = ()) -> bytes:
    """The page of all. pages: service -> its /metrics. of_the_store: families that all read from the store.

    Raises ValueError when a page is not in the text format.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(_merged(pages, frozenset(of_the_store))))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

    def describe(self) -> Iterable[Metric]:
        return ()


def _merged(pages: Mapping[str, str], of_the_store: frozenset[str]) -> list[Metric]:
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, Labels], Sample]] = {}
    for service, family in _families(pages):
        families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        into = values.setdefault(family.name, {})
        if family.name in of_the_store and into:
            continue
        # When a series began cannot be added up: the earliest stands.
        together = min if family.name.endswith("_created") else sum
        for sample in family.samples:
            labels = dict(sample.labels)
            if family.name.startswith(PER_PROCESS):
                labels["service"] = service
            place = (sample.name, frozenset(labels.items()))
            value = together((into[place].value, sample.value)) if place in into else sample.value
            into[place] = Sample(sample.name, labels, value)
    for name, family in families.items():
        family.samples = list(values[name].values())
    return list(families.values())


def _families(pages: Mapping[str, str]) -> Iterator[tuple[str, Metric]]:
    for service, page in pages.items():
        for family in text_string_to_metric_families(page):
            yield service, family
