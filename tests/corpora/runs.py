"""Scripted runs of one step: stuck ones, and healthy but odd ones, each with how it has to end.

`first_third` was written before there was a detector and is left as it is: what a detector was tuned by must
not be all that it is judged by. `rest` came after.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

HERE: Final = Path(__file__).parent
STUCK_KINDS: Final = (
    "hang at start", "hang in the middle", "loop", "same failure", "flaky network", "crash", "OOM kill",
    "dirty workspace",
)  # fmt: skip
Corpus = Literal["stuck", "healthy"]
Part = Literal["first_third", "rest"]


class Run(NamedTuple):
    """One step in bash, in a repository with a few files; it leaves a file `result` when it succeeds.

    `$MARKS` is a folder outside the workspace that all attempts share: what is left there tells the next one
    that it is not the first. ends: `heals`, or the class with which the job has to fail. limits: of the task.
    """

    name: str
    kind: str
    ends: str
    limits: Mapping[str, float]
    script: str


def load(corpus: Corpus, part: Part) -> list[Run]:
    return [_run(path) for path in sorted((HERE / part / corpus).glob("*.sh"))]


def _run(path: Path) -> Run:
    lines = path.read_text().splitlines(keepends=True)
    head = [line[2:].strip() for line in lines if line.startswith("# ")]
    named = dict(line.split(": ", 1) for line in head[1:])
    limits = dict(line.removeprefix("limit: ").split() for line in head if line.startswith("limit: "))
    return Run(
        name=head[0],
        kind=named["kind"],
        ends=named.get("ends", "heals"),
        limits=MappingProxyType({name: float(value) for name, value in limits.items()}),
        script="".join(lines[len(head) :]),
    )
