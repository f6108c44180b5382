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


def tidied(fields: Mapping[str, Sequence[str]], *, one_more: bool = False) -> Filled:
    """The form without its blank steps, the others numbered anew; then one blank step, if asked for."""
    steps: dict[int, dict[str, str]] = {}
    rest: dict[str, Sequence[str]] = {}
    for name, values in fields.items():
        if (found := _STEP_FIELD.fullmatch(name)) is None:
            rest[name] = values
        elif values[-1].strip():
            steps.setdefault(int(found[1]), {})[found[2]] = values[-1]
    kept = [steps[number] for number in sorted(steps)]
    for number, step in enumerate([*kept, {"title": ""}] if one_more or not kept else kept):
        rest |= {f"{STEPS}[{number}].{name}": [value] for name, value in step.items()}
    return Filled(rest)


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
