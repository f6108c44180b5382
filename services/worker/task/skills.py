"""Skills: instructions that this worker keeps, put before a step's own (70-61)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from services.worker.task.failures import failed
from sluicegate.operations.task_payload import Skill, TaskPayload

NONE: Final = "auto"


def load(task: TaskPayload, folder: Path | None) -> dict[str, str]:
    """The text of each skill that the task names. An unknown one ends it as deterministic_contract."""
    named = [task.task.skill, *(step.skill for step in task.task.steps)]
    return {each.id: _text(each.id, folder) for each in named if each is not None and each.id != NONE}


def words(skill: Skill | None, texts: dict[str, str]) -> str:
    """What a prompt begins with: the skill and its args; nothing for none."""
    if skill is None or skill.id == NONE:
        return ""
    args = msgspec.json.encode(skill.args, order="sorted").decode() if skill.args else ""
    return texts[skill.id].rstrip() + (f"\n\nArguments: {args}" if args else "") + "\n\n"


def _text(id: str, folder: Path | None) -> str:
    try:
        if folder is not None:
            return (folder / id / "SKILL.md").read_text()
    except (OSError, UnicodeDecodeError):
        pass
    raise failed(f"no skill {id!r} at this worker (SLUICEGATE_SKILLS_DIR)", "deterministic_contract")
