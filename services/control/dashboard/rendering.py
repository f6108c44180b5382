"""Templates turned into HTML: everything is escaped; times and ages can be read without a script."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import sluicegate
from sluicegate.model import ID_PATTERN, SystemState
from sluicegate.operations.run_state import control_lines
from sluicegate.operations.task_payload import Step
from sluicegate.times import from_rfc3339, now_ms

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
XTERM: Final = STATIC / "xterm"
"""What `make setup` brings for terminals, where npm is there."""
STATUS_NAMES: Final = {"dead_letter": "dead letter"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Pages:
    """The dashboard's templates, loaded once for each process.

    refresh_seconds: without JavaScript a page that is rendered with `refresh`, since nobody types into it,
    loads itself anew after so long; 0: none does.
    """

    def __init__(self, refresh_seconds: float) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            age=age,
            at=at,
            clock=clock,
            control_lines=control_lines,
            is_id=lambda text: ID_PATTERN.match(text or "") is not None,
            left=left,
            number=number,
            refresh_seconds=refresh_seconds,
            size=size,
            passed=lambda moment: from_rfc3339(moment) <= now_ms(),
            pairs=lambda words: [(word, word.replace("_", " ")) for word in words],
            pause_name=pause_name,
            span=span,
            spell=spell,
            static=static_address,
            status_name=status_name,
            stepped=stepped,
            told=told,
            version=sluicegate.__version__,
        )
        self._environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(now=now_ms(), **{"refresh": False, **values})


def static_address(name: str) -> str:
    """The address of a static file, which changes with its content, so that browsers may keep it for ever."""
    folder = STATIC if (STATIC / name).exists() else XTERM
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def has_xterm() -> bool:
    return (XTERM / "xterm.mjs").exists()


def policy(nonce: str | None) -> str:
    """The page's policy. nonce: on a page with a terminal, for the style elements that xterm.js makes."""
    if nonce is None:
        return CONTENT_SECURITY_POLICY
    return CONTENT_SECURITY_POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")


def pause_name(system: SystemState) -> str:
    if not system.workers_paused:
        return "Running"
    return f"Paused ({(system.mode or 'drain').capitalize()})"


def status_name(status: str) -> str:
    return STATUS_NAMES.get(status, status).capitalize()


def stepped(steps: list[Step]) -> list[tuple[str, str]]:
    """Steps as choices: id, and what people call them."""
    return [
        (step.id, f"{at} {step.id}{f': {step.title}' if step.title else ''}")
        for at, step in enumerate(steps, 1)
    ]


def number(value: int) -> str:
    """12345 -> '12 345', with narrow spaces that do not break."""
    return f"{value:,}".replace(",", "\u202f")


def age(moment: str | None, *, ago: bool = False) -> Markup:
    """'3 min', in one unit, as an element that static/live.js keeps up to date by the same rule."""
    if moment is None:
        return Markup("–")
    seconds = max(0, (now_ms() - from_rfc3339(moment)) // 1000)
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    tail = " ago" if ago else ""
    return Markup('<time datetime="{}" title="{}" data-age="{}">{} {}{}</time>').format(
        moment, _plain(moment), tail, seconds // size, unit, tail
    )


def at(moment: str) -> Markup:
    """'12:00:00', the day and the zone in its title."""
    return Markup('<time class="at" datetime="{}" title="{}">{}</time>').format(
        moment, _plain(moment), moment[11:19]
    )


def ticking(moment: str) -> Markup:
    """'140 s', counted up by static/live.js."""
    seconds = max(0, (now_ms() - from_rfc3339(moment)) // 1000)
    return Markup('<time datetime="{}" data-seconds>{} s</time>').format(moment, seconds)


def left(moment: str) -> Markup:
    """'until 2026-01-31 12:00:00 UTC', as an element that static/live.js turns into a countdown."""
    return Markup('<time datetime="{}" title="until {}" data-left>until {}</time>').format(
        moment, _plain(moment), _plain(moment)
    )


def told(about: dict[str, Any]) -> list[tuple[str, str]]:
    """What a control event says of itself: each name, and its value in words."""
    return [
        (name, "yes" if value is True else str(value)) for name, value in about.items() if value is not None
    ]


def span(seconds: float) -> str:
    """90.4 -> '2 min': rounded to one unit."""
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{round(seconds / size)} {unit}"


def spell(seconds: float) -> str:
    """0.4 -> '0.4 s', 12.3 -> '12 s', 272 -> '4 min 32 s', 7300 -> '2 h 1 min': two units at most."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for (large, name), (small, part) in pairwise(_UNITS):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {name}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def size(number_of_bytes: int) -> str:
    """'512 B', '1.4 kB', '23 MB'."""
    if number_of_bytes < 1000:
        return f"{number_of_bytes} B"
    value, units = number_of_bytes / 1000, ("kB", "MB", "GB", "TB")
    for unit in units:
        if value < 999.5 or unit == units[-1]:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
        value /= 1000
    return ""


def clock(moment: str | None) -> Markup:
    """'2026-01-31 12:00:00 UTC'."""
    if moment is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(moment, _plain(moment))


def _plain(moment: str) -> str:
    return f"{moment[:10]} {moment[11:19]} UTC"
