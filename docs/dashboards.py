"""The Grafana dashboards as code: what each panel asks, laid out in rows; `make generated` writes the JSON.

Queries are plain PromQL without Grafana's variables, so that a test can ask each of a real Prometheus.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from msgspec import Struct

WIDE: Final = 24
"""Columns of Grafana's grid."""
HEIGHTS: Final = {"stat": 4, "timeseries": 8, "table": 8, "bargauge": 8}
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


class Query(Struct, frozen=True):
    """quiet: it may have no result, since it asks for what need not have happened."""

    expr: str
    legend: str = ""
    quiet: bool = False


class Panel(Struct, frozen=True, kw_only=True):
    """steps: values from which it turns yellow, then red."""

    title: str
    queries: tuple[Query, ...]
    kind: Literal["stat", "timeseries", "table", "bargauge"] = "timeseries"
    unit: str = "short"
    says: str = ""
    steps: tuple[float, ...] = ()
    stacked: bool = False


class Board(Struct, frozen=True, kw_only=True):
    """rows: panels of a row share its width."""

    name: str
    title: str
    rows: tuple[tuple[Panel, ...], ...]

    @property
    def queries(self) -> list[Query]:
        return [query for row in self.rows for panel in row for query in panel.queries]

    def text(self) -> str:
        """The JSON that Grafana reads."""
        return json.dumps(_board(self), indent=1) + "\n"


def _board(board: Board) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in board.rows:
        height = max(HEIGHTS[panel.kind] for panel in row)
        width = WIDE // len(row)
        for at, panel in enumerate(row):
            place = {"x": at * width, "y": top, "w": width, "h": height}
            panels.append(_panel(panel, len(panels) + 1, place))
        top += height
    links = {"type": "dashboards", "tags": ["sluicegate"], "asDropdown": False, "title": "", "keepTime": True}
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus", "hide": 0}
    return {
        "uid": f"sluicegate-{board.name}",
        "title": f"Sluicegate: {board.title}",
        "tags": ["sluicegate"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [links],
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel.steps)}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {"fillOpacity": 30 if panel.stacked else 8, "stacking": stacking}
        if panel.steps:
            defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    else:
        defaults["color"] = {"mode": "thresholds"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, at, query) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
    }


def _target(panel: Panel, at: int, query: Query) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": chr(ord("A") + at), "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend,
    }  # fmt: skip
    if panel.kind != "timeseries":
        target |= {"instant": True, "range": False}
    if panel.kind == "table":
        target["format"] = "table"
    return target


def _thresholds(steps: tuple[float, ...]) -> dict[str, Any]:
    colours = ("yellow", "red")[-len(steps) :] if steps else ()
    later = [{"color": colour, "value": value} for colour, value in zip(colours, steps, strict=True)]
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}, *later]}


def _options(kind: str) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if kind == "stat":
        return {"reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    if kind == "bargauge":
        return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic"}
    if kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
