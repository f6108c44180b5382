"""Lengths of time on the command line: `90`, `1.5s`, `30m`, `2h`, `1d`; times, by how long ago they were."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from sluicegate.times import now_ms, to_rfc3339

UNITS: Final = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


class Seconds(click.ParamType[float]):
    """A number of seconds; anything else is a usage error that says what is allowed."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = _TEXT.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is not a length of time; write 90, 30s, 5m or 2h", param, ctx)
        return float(found[1]) * UNITS[found[2]]


class Past(click.ParamType[str]):
    """A time; `2h` is two hours ago by this host's clock. Any other text is the deployment's to judge."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = _TEXT.fullmatch(str(value).strip())
        if found is None or not found[2]:
            return str(value)
        now = now_ms()
        return to_rfc3339(now - round(min(float(found[1]) * UNITS[found[2]] * 1000, now)))


SECONDS: Final = Seconds()
PAST: Final = Past()
