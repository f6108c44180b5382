"""A page of the documentation, done: its commands are run as a reader would run them.

Every block marked `sh` is run, in order, in one shell that ends at the first command that fails. A block
that follows a line ending in "as `name`:" is not run but saved under that name, as the page tells the reader.
In commands, `JOB_ID` stands for the job that the last `sluicegate enqueue` accepted.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
END: Final = "--- end of block ---"
_BLOCK: Final = re.compile(r"(?P<before>[^\n]*)\n\n?```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)
_SAVED: Final = re.compile(r"as `(?P<name>[\w./-]+)`:$")
_SHELL: Final = f"""\
set -euo pipefail
last=$PWD/.last
sluicegate() {{
    if [ "${{1-}}" = enqueue ]; then
        {shlex.quote(sys.executable)} -m sluicegate "$@" | tee "$last"
    else
        {shlex.quote(sys.executable)} -m sluicegate "$@"
    fi
}}
_job() {{ grep -oE '[0-9a-f]{{8}}-[0-9a-f]{{4}}-7[0-9a-f-]{{21}}' "$last" | tail -n 1; }}
"""


class Ran(Struct, frozen=True):
    """What came of a page: the exit status, what each block put out, what went to stderr."""

    status: int
    outputs: list[str]
    errors: str

    @property
    def output(self) -> str:
        return "".join(self.outputs)


class Page:
    """A page by its path from the root. edit: what differs here in its text, like places and durations."""

    def __init__(self, path: str, edit: Callable[[str], str] = str) -> None:
        self.shell: list[str] = []
        self.files: dict[str, str] = {}
        for block in _BLOCK.finditer(edit((ROOT / path).read_text())):
            if saved := _SAVED.search(block["before"]):
                self.files[saved["name"]] = block["text"]
            elif block["language"] == "sh":
                self.shell.append(block["text"])

    def run(
        self, folder: Path, env: Mapping[str, str], *, without: str | None = None, seconds: float = 90.0
    ) -> Ran:
        """Save the page's files in `folder` and run its blocks there.

        without: blocks that hold this text are not run. env: the whole environment of the commands.
        """
        for name, text in self.files.items():
            (folder / name).write_text(text)
        chosen = [block for block in self.shell if without is None or without not in block]
        script = _SHELL + "".join(f"{block}echo {shlex.quote(END)}\n" for block in chosen)
        done = subprocess.run(
            ["bash", "-c", script.replace("JOB_ID", '"$(_job)"')], cwd=folder, env=dict(env),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        outputs = done.stdout.split(f"{END}\n")
        return Ran(done.returncode, outputs[:-1] if not outputs[-1] else outputs, done.stderr)
