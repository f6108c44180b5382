"""Where the files of one attempt are. What the worker keeps lies beside the work tree, never inside it."""

from __future__ import annotations

from pathlib import Path


class Place:
    """The attempt's folder: `tree` is the step's, everything else the worker's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = root / "repo"
        self.git_dir = root / "git"
        """The worker's own repository: what steps do to theirs cannot harm it."""
        self.index = root / "index"
        self.replayed = root / "replayed-index"
        self.credentials = root / "credentials"
        self.inbox = root / "inbox.jsonl"
        self.retry_context = root / "retry-context.json"
        for folder in ("logs/steps", "patches", "prompts"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def stage_log(self, stage: str) -> Path:
        return self.root / "logs" / f"{stage}.log"

    def step_log(self, index: int) -> Path:
        return self.root / "logs" / "steps" / f"{numbered(index)}.log"

    def patch(self, index: int) -> Path:
        return self.root / "patches" / f"{numbered(index)}.patch"

    def prompt(self, index: int) -> Path:
        return self.root / "prompts" / f"{numbered(index)}.md"

    def script(self, index: int) -> Path:
        return self.root / "prompts" / f"{numbered(index)}.sh"


def numbered(index: int) -> str:
    """Names count from 1: the first step's files are `step-0001` (70-28)."""
    return f"step-{index + 1:04d}"
