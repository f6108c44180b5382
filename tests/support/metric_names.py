"""The names that Prometheus knows our metrics by, and those that a text uses."""

from __future__ import annotations

import re

from docs.generate import metric_collectors

LABELS = {
    "action", "band", "check", "class", "kind", "loop", "method", "mode", "outcome", "reason", "result",
    "route", "scope", "state", "status", "strategy", "version",
}  # fmt: skip
"""Each stands for a closed list of words, `route` for the templates of the routes."""
_NAME = re.compile(r"\bsluicegate[_:][a-z0-9_:]+")
JOBS = {"sluicegate_queue_api", "sluicegate_control", "sluicegate_worker", "sluicegate_sweeper"}
"""Names of scrape jobs, which look alike."""
_SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def _known() -> set[str]:
    found = set()
    for _, collectors in metric_collectors():
        for collector in collectors:
            for family in collector.collect():
                found |= {family.name + ending for ending in _SERIES[family.type]}
    return {name for name in found if name.startswith("sluicegate_")}


FAMILIES = _known()


def names_in(text: str) -> set[str]:
    """Every name of ours in it, recorded ones too."""
    return {name.rstrip(":") for name in _NAME.findall(text)} - JOBS
