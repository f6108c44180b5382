"""What a runtime says about its own run: its last message, and whether it reports a failure.

Agents print one JSON object a line. What of it means something is data (`Sign`); anything else in it, like
the output of the commands that they ran, is not looked at: it may speak of failures that are not theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.worker.heal import screen
from services.worker.task.failures import last_words

NO_REASON: Final = "it gave no reason"
_COMPLAINT: Final = re.compile(r"\W*(?:error|fatal|unknown|invalid)\b", re.IGNORECASE)


class Sign(Struct, frozen=True, kw_only=True):
    """An event that says something. Of several that fit, the first counts.

    where: fields and their values, a dot leading into an object. means: `says` something to whoever reads
    the result, `goes on`, `fails`; the first two overcome a failure reported before. text: fields with the
    words, the first that has some. joined: comes in pieces, each continuing the one right before.
    """

    means: Literal["says", "goes on", "fails"]
    where: Mapping[str, str | bool]
    text: tuple[str, ...] = ()
    joined: bool = False


class Reading(Struct, frozen=True, kw_only=True):
    """message: what it said last, to whoever reads the result. failure: why it says that it failed.
    words: what else it printed last, or the last complaint in it (a program's help may follow one).
    report: all by which a failure is to be judged.
    """

    message: str | None = None
    failure: str | None = None
    words: str = ""
    report: bytes | str = ""


def read(output: bytes, signs: Sequence[Sign]) -> Reading:
    """`output` may begin in the middle of a line."""
    if not signs:
        return Reading(words=last_words(output), report=output)
    events: list[dict[str, Any]] = []
    other: list[str] = []
    for number, line in enumerate(screen.lines(output)):
        if (event := _event(line)) is not None:
            events.append(event)
        elif number or not line.endswith("}"):  # else it is the rest of an event that was cut
            other.append(line)
    message, failure = _meaning(events, signs)
    complaints = [line for line in other if _COMPLAINT.match(line)]
    return Reading(
        message=message,
        failure=failure,
        words=last_words("\n".join(complaints or other)),
        report="\n".join([*other, failure or ""]),
    )


def _meaning(events: Sequence[dict[str, Any]], signs: Sequence[Sign]) -> tuple[str | None, str | None]:
    message, failure = None, None
    before: Sign | None = None
    for event in events:
        sign, last = next((each for each in signs if _fits(event, each)), None), before
        before = sign
        if sign is None:
            continue
        text = _text(event, sign)
        match sign.means:
            case "says":
                message = f"{message or ''}{text or ''}" if sign is last and sign.joined else text
                failure = None
            case "goes on":
                failure = None
            case "fails":
                failure = text or failure or NO_REASON
    return message, failure


def _event(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(line.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict) else None


def _fits(event: dict[str, Any], sign: Sign) -> bool:
    return all(_field(event, path) == value for path, value in sign.where.items())


def _text(event: dict[str, Any], sign: Sign) -> str | None:
    for path in sign.text:
        if words := "; ".join(_words(_field(event, path))):
            return words
    return None


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str) and each)


def _field(event: Any, path: str) -> Any:
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event
