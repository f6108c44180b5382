"""Stand-ins for the agents, on PATH before everything else, with a home in which nobody has signed in."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from services.worker.runtimes import RUNTIMES

FOLDER: Final = Path(__file__).parent / "stand_ins"
KEY: Final = {"codex": "CODEX_API_KEY", "gemini": "GEMINI_API_KEY", "claude": "ANTHROPIC_API_KEY"}
AGENTS: Final = tuple(KEY)
SECRET: Final = "key-of-this-machine-4711"


class StandIns:
    """The stand-ins of one test: `notes` tells of each of their runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._notes = folder / "notes.jsonl"
        self.home = folder / "home"
        self.home.mkdir()
        python = Path(sys.executable).parent
        monkeypatch.setenv("PATH", os.pathsep.join((str(FOLDER), str(python), os.environ["PATH"])))
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("STAND_IN_NOTES", str(self._notes))
        for each in RUNTIMES.values():
            for name in (*each.keys, *each.elsewhere, *(login.variable for login in each.logins)):
                monkeypatch.delenv(name, raising=False)

    def let_in(self, name: str) -> None:
        """Give this machine the key of the agent."""
        self._monkeypatch.setenv(KEY[name], SECRET)

    @property
    def notes(self) -> list[dict[str, Any]]:
        text = self._notes.read_text() if self._notes.exists() else ""
        return [json.loads(line) for line in text.splitlines()]
