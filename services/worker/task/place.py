"""Where the files of one attempt are. What the worker keeps lies beside the work tree, never inside it."""

from __future__ import annotations

from pathlib import Path


class Place:
    """The attempt's folder: `tree` is the step's, everything else the worker's.

    The workspace itself (tree, repository, index) can be built in a second place and then take the first.
    """

    def __init__(self, root: Path, workspace: Path | None = None) -> None:
        self.root = root
        self.workspace = workspace or root
        self.tree = self.workspace / "repo"
        self.git_dir = self.workspace / "git"
        """The worker's own repository: what steps do to theirs cannot harm it."""
        self.index = self.workspace / "index"
        self.replayed = self.workspace / "replayed-index"
        self.credentials = root / "credentials"
        self.inbox = root / "operator_inbox.jsonl"
        self.retry_context = root / "retry-context.json"
        self.recording = root / "terminal.cast"
        for folder in ("logs/steps", "patches", "prompts"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    @property
    def moving(self) -> tuple[Path, ...]:
        """What takes another's place when a workspace does."""
        return self.tree, self.git_dir, self.index, self.replayed

    def beside(self) -> Place:
        """Another workspace of the same attempt, empty."""
        return Place(self.root, self.root / "rebuilt")

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
