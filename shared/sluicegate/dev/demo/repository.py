"""A small Python package with a failing test, in a bare repository: what the demo's task is given to fix."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

MAIN: Final = "main"
FILES: Final = {
    ".gitignore": "__pycache__/\n",
    "CHANGELOG.md": "# Changes\n\n- The mean of some numbers.\n",
    "tinystats/__init__.py": "from tinystats.mean import mean\n",
    "tinystats/mean.py": (
        'def mean(numbers):\n    """The mean; 0 for no numbers."""\n    return sum(numbers) / len(numbers)\n'
    ),
    "tests/__init__.py": "",
    "tests/test_mean.py": (
        "import unittest\n\nfrom tinystats import mean\n\n\n"
        "class MeanTest(unittest.TestCase):\n"
        "    def test_of_numbers(self):\n        self.assertEqual(mean([1, 2, 6]), 3)\n\n"
        "    def test_of_nothing(self):\n        self.assertEqual(mean([]), 0)\n"
    ),
}
_AUTHOR: Final = {
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
    # Whoever runs the demo may have hooks, templates or signing set up: they are no part of it.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}


class Ended(Struct, frozen=True):
    """How a command ended, with what it wrote to either stream."""

    status: int
    output: str


class DemoRepository:
    """The bare repository at `origin`; `make` creates it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = folder / "tinystats.git"

    async def make(self) -> None:
        """Raises RuntimeError when git is not there or does not do it."""
        work = self.folder / "first-commit"
        for name, text in FILES.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        await self.git("init", "--quiet", "--initial-branch", MAIN, str(work))
        await self.git("-C", str(work), "add", "--all")
        await self.git("-C", str(work), "commit", "--quiet", "--message", "Begin")
        await self.git("clone", "--quiet", "--bare", str(work), str(self.origin))

    async def branches(self) -> list[str]:
        listed = await self._in_origin("for-each-ref", "--format=%(refname:short)", "refs/heads")
        return listed.split()

    async def diff(self, branch: str) -> str:
        """What the branch changes."""
        return await self._in_origin("diff", f"{MAIN}..{branch}")

    async def changed_files(self, branch: str) -> list[str]:
        return (await self._in_origin("diff", "--name-only", f"{MAIN}..{branch}")).split()

    async def commit_messages(self, branch: str) -> list[str]:
        """Of the commits that the branch has and main has not, newest first."""
        listed = await self._in_origin("log", "-z", "--format=%B", f"{MAIN}..{branch}")
        return [each.strip() for each in listed.split("\0") if each.strip()]

    async def tests_pass(self, branch: str) -> bool:
        """Whether the package's own tests pass in a fresh clone of the branch."""
        clone = self.folder / f"check-{branch.replace('/', '-')}"
        await self.git("clone", "--quiet", "--branch", branch, str(self.origin), str(clone))
        ended = await run(sys.executable, "-m", "unittest", "--quiet", cwd=clone)
        return ended.status == 0

    async def _in_origin(self, *arguments: str) -> str:
        return await self.git("--git-dir", str(self.origin), *arguments)

    async def git(self, *arguments: str) -> str:
        ended = await run("git", *arguments)
        if ended.status != 0:
            raise RuntimeError(f"git {' '.join(arguments)} ended with {ended.status}: {ended.output.strip()}")
        return ended.output


async def run(*command: str, cwd: Path | None = None) -> Ended:
    """Run a command to its end. A program that is not installed ends with 127."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env={**os.environ, **_AUTHOR},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        return Ended(127, f"{command[0]} is not installed")
    output, _ = await process.communicate()
    return Ended(process.returncode or 0, output.decode(errors="replace"))
