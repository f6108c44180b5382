"""The runtimes that ship. Adding one is adding a row here and its wishes in `sluicegate.runtimes`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.worker.runtimes.claude import CLAUDE
from services.worker.runtimes.codex import CODEX
from services.worker.runtimes.gemini import GEMINI
from services.worker.runtimes.runtime import Runtime

SHELL: Final = Runtime(name="shell", program="bash", argv=("{script}",))
"""Runs the instructions themselves (70-27)."""

RUNTIMES: Final[Mapping[str, Runtime]] = MappingProxyType(
    {each.name: each for each in (SHELL, CODEX, GEMINI, CLAUDE)}
)
