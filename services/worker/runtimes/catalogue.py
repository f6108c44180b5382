"""Runtimes are data: how a step's command is put together. Adding one is adding a row.

`shell` runs the instructions themselves. An agent would take `{prompt}`: the same words with the skill
in front of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Runtime(Struct, frozen=True, kw_only=True):
    """argv: a template. `{script}` is the file with the instructions as they were written, `{prompt}` the
    file with all that an agent is told."""

    name: str
    argv: tuple[str, ...]

    def command(self, *, script: Path, prompt: Path) -> list[str]:
        places = {"{script}": str(script), "{prompt}": str(prompt)}
        return [places.get(word, word) for word in self.argv]


RUNTIMES: Final[Mapping[str, Runtime]] = MappingProxyType(
    {each.name: each for each in (Runtime(name="shell", argv=("bash", "{script}")),)}
)
