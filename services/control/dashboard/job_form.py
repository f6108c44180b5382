"""The form of a new job: its fields are named by their places in the job's document, as errors name them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.control.dashboard.forms import Filled, listed
from sluicegate.errors import Invalid
from sluicegate.model import NewJob
from sluicegate.validation import convert

STEPS: Final = "payload.task.steps"
_STEP_FIELD: Final = re.compile(r"payload\.task\.steps\[(\d{1,4})\]\.(id|title|instructions)")
_STEP_PATH: Final = re.compile(r"payload\.task\.steps\[(\d{1,4})\]")
_TEXTS: Final = (
    "id",
    "type",
    "affinityKey",
    "payload.repository",
    "payload.targetRuntime",
    "payload.task.instructions",
    "payload.task.git.startingBranch",
    "payload.task.git.newBranch",
    "payload.task.publish.mode",
)
_NUMBERS: Final = ("priority", "maxAttempts", "delaySeconds", "maxRunSeconds")


def tidied(fields: Mapping[str, Sequence[str]]) -> Filled:
    """The form without its blank steps, the others numbered anew; with one blank one if there is no other."""
    steps, rest = _parted(fields)
    return _joined([steps[at] for at in written_steps(fields)] or [{}], rest)


def arranged(fields: Mapping[str, Sequence[str]], change: str) -> Filled:
    """The form with one step more (`add`), or with one moved or left out (`up 1`, `down 0`, `remove 2`)."""
    steps, rest = _parted(fields)
    kept = [steps[number] for number in sorted(steps)] or [{}]
    verb, _, number = change.partition(" ")
    at = int(number) if re.fullmatch(r"\d{1,4}", number) else -1
    if verb == "add":
        kept.append({})
    elif 0 <= at < len(kept):
        step = kept.pop(at)
        if verb != "remove":
            kept.insert(max(0, at + (1 if verb == "down" else -1)), step)
    return _joined(kept or [{}], rest)


def written_steps(fields: Mapping[str, Sequence[str]]) -> list[int]:
    """The numbers of the steps in which something stands."""
    steps, _ = _parted(fields)
    return [number for number in sorted(steps) if any(text.strip() for text in steps[number].values())]


def place(path: str, written: Sequence[int]) -> str:
    """Where in the form, blank steps and all, a path of the document is."""
    found = _STEP_PATH.match(path)
    if found is None or int(found[1]) >= len(written):
        return path
    return f"{STEPS}[{written[int(found[1])]}]{path[found.end() :]}"


def _parted(
    fields: Mapping[str, Sequence[str]],
) -> tuple[dict[int, dict[str, str]], dict[str, Sequence[str]]]:
    """The steps by their numbers, and the other fields."""
    steps: dict[int, dict[str, str]] = {}
    rest: dict[str, Sequence[str]] = {}
    for name, values in fields.items():
        if (found := _STEP_FIELD.fullmatch(name)) is None:
            rest[name] = values
        else:
            steps.setdefault(int(found[1]), {})[found[2]] = values[-1]
    return steps, rest


def _joined(steps: Sequence[Mapping[str, str]], rest: Mapping[str, Sequence[str]]) -> Filled:
    named = {
        f"{STEPS}[{number}].{name}": [step.get(name, "")]
        for number, step in enumerate(steps)
        for name in ("id", "title", "instructions")
    }
    return Filled({**rest, **named})


def step_count(filled: Filled) -> int:
    numbers = [int(found[1]) for name in filled.names if (found := _STEP_FIELD.fullmatch(name))]
    return max(numbers, default=0) + 1


def document(filled: Filled) -> dict[str, Any]:
    """The job's JSON. Raises Invalid: the payload of another type than `task` is no JSON object."""
    found: dict[str, Any] = {}
    for name in _TEXTS:
        if filled.get(name).strip():
            _put(found, name, filled.get(name).strip())
    for name in _NUMBERS:
        if filled.get(name).strip():
            found[name] = _number(filled.get(name).strip())
    if needed := listed(filled.get("requiredCapabilities")):
        found["requiredCapabilities"] = needed
    if found.get("type") != "task":
        found["payload"] = _payload(filled.get("payload"))
        return found
    steps: list[dict[str, str]] = [{} for _ in range(step_count(filled))]
    for name in filled.names:
        if (step := _STEP_FIELD.fullmatch(name)) and filled.get(name).strip():
            steps[int(step[1])][step[2]] = filled.get(name)
    if any(steps):
        _put(found, STEPS, steps)
    return found


def new_job(document: dict[str, Any]) -> NewJob:
    """Raises Invalid naming every wrong field."""
    return convert(document, NewJob)


def curl(document: dict[str, Any], *, with_token: bool) -> str:
    """The same by hand, to be copied; the id is left to the server."""
    body = msgspec.json.encode({name: value for name, value in document.items() if name != "id"})
    token = ' \\\n  -H "Authorization: Bearer $SLUICEGATE_TOKEN"' if with_token else ""
    return (
        'curl -fsS "$SLUICEGATE_URL/api/queue/jobs" -H "Content-Type: application/json"'
        f"{token} \\\n  --data-raw {shlex.quote(msgspec.json.format(body, indent=2).decode())}"
    )


def _put(found: dict[str, Any], place: str, value: Any) -> None:
    *way, last = place.split(".")
    for name in way:
        found = found.setdefault(name, {})
    found[last] = value


def _number(text: str) -> int | float | str:
    """What is none is left for the document's own check to name."""
    try:
        return int(text) if re.fullmatch(r"[+-]?\d{1,15}", text) else float(text)
    except ValueError:
        return text


def _payload(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Invalid.field("payload", f"is not a JSON object: {error}") from None
