"""One valid page from several: added up, or taken once where all read the same store (70-38)."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.dev.merged_metrics import merge

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def page(requests: float, queued: float | None, seconds: float) -> str:
    registry = CollectorRegistry()
    counter = Counter("http_requests", 'Requests, "all" of them\\ever.', ("route",), registry=registry)
    counter.labels('/jobs/{id}\n"x"').inc(requests)
    histogram = Histogram("http_seconds", "How long.", registry=registry, buckets=(0.1, 1.0))
    histogram.observe(seconds)
    jobs = Gauge("jobs", "Jobs.", ("status",), registry=registry)
    if queued is not None:
        jobs.labels("queued").set(queued)
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


def samples(text: str) -> Samples:
    """name and labels -> value; fails on a page that names a series twice, or a type twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = (sample.name, tuple(sorted(sample.labels.items())))
            assert place not in found, f"{place} stands there twice"
            found[place] = sample.value
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    return found


def test_what_processes_counted_is_added_up() -> None:
    merged = samples(merge({"a": page(2, 5, 0.05), "b": page(3, 7, 0.5)}, {"jobs"}).decode())
    assert merged["http_requests_total", (("route", '/jobs/{id}\n"x"'),)] == 5
    assert merged["http_seconds_bucket", (("le", "0.1"),)] == 1
    assert merged["http_seconds_bucket", (("le", "1.0"),)] == 2
    assert merged["http_seconds_bucket", (("le", "+Inf"),)] == 2
    assert merged["http_seconds_count", ()] == 2
    assert merged["http_seconds_sum", ()] == pytest.approx(0.55)


def test_what_all_read_from_the_store_stands_once_from_the_first_that_has_it() -> None:
    pages = {"empty": page(0, None, 0), "first": page(0, 5, 0), "second": page(0, 7, 0)}
    assert samples(merge(pages, {"jobs"}).decode())["jobs", (("status", "queued"),)] == 5
    assert samples(merge(pages).decode())["jobs", (("status", "queued"),)] == 12


def test_what_describes_a_process_is_kept_apart() -> None:
    merged = samples(merge({"a": page(1, 1, 0), "b": page(1, 1, 0)}).decode())
    found = {labels for name, labels in merged if name == "process_resident_memory_bytes"}
    assert found == {(("service", "a"),), (("service", "b"),)}


def test_when_a_series_began_is_the_earliest() -> None:
    pages = {"a": page(1, 1, 0), "b": page(1, 1, 0)}
    begun = [samples(text)["http_seconds_created", ()] for text in pages.values()]
    assert samples(merge(pages).decode())["http_seconds_created", ()] == min(begun)


def test_one_page_stays_what_it_is() -> None:
    one = page(2, 5, 0.05)
    registry_only = "\n".join(line for line in one.splitlines() if "process_" not in line) + "\n"
    assert samples(merge({"a": registry_only}).decode()) == samples(registry_only)


def test_no_page_is_an_empty_page() -> None:
    assert merge({}) == b""


def test_a_page_in_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        merge({"a": "this { is not a metric\n"})
