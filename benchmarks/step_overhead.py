"""What the worker adds to each step of a task: the same command under it and bare, in the same round.

From the first line of a step's script to the first line of the next one's: its own time, and all that is
done between two steps (git takes what changed, patch, log and state are stored, events, the next start).
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from benchmarks.tasks import NOW, file_of, git, scene, stamps

SMALL: Final = 200
LARGE: Final = 5_000
TARGET_MS: Final = 150
BARE: Final = "the command bare"


async def rounds(scale: Scale, *, files: int, steps: int) -> AsyncGenerator[Round, None]:
    target = TARGET_MS if files == SMALL else None
    overhead = Measure(name=f"overhead of a step, {files:,} files", unit="ms", target=target, ceiling=BARE)
    async with scene(files) as there:
        for _ in scale.rounds:
            noted = there.folder / f"stamps-{time.monotonic_ns()}"
            scripts = [_script(noted, at) for at in range(steps + 1)]
            await there.ended(await there.enqueue(scripts))
            taken = _apart(noted, steps)
            bare = await asyncio.to_thread(_bare, there.folder, there.repository, steps)
            yield {overhead: Reading(taken - bare, bare)}


def _script(noted: Path, at: int) -> str:
    """Changes one file and makes another; `cd` has been done."""
    changed = file_of(Path(), at)
    return f"echo {NOW} >> {noted}\necho changed >> {changed}\necho new > new-{at}\ngrep -c line {changed}\n"


def _apart(noted: Path, steps: int) -> float:
    """The median time from one start to the next."""
    at = stamps(noted)
    if len(at) != steps + 1:
        raise Unmeasured(f"{len(at)} starts of {steps + 1} steps")
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(at))


def _bare(folder: Path, repository: Path, steps: int) -> float:
    """The same scripts, one after the other, in a clone."""
    place = folder / f"bare-{time.monotonic_ns()}"
    noted = place.with_suffix(".stamps")
    git(folder, "clone", "-q", str(repository), str(place))
    for at in range(steps + 1):
        script = place.with_suffix(f".{at}.sh")
        script.write_text(_script(noted, at))
        subprocess.run(
            ["bash", str(script)], cwd=place, check=True, stdin=subprocess.DEVNULL, capture_output=True
        )
    return _apart(noted, steps)


SUBJECTS: Final = (
    Subject(
        name="step-overhead",
        says=f"what the worker adds to a step, on a tree of {SMALL} files",
        rounds=partial(rounds, files=SMALL, steps=8),
    ),
    Subject(
        name="step-overhead-5k",
        says=f"the same on a tree of {LARGE:,} files",
        rounds=partial(rounds, files=LARGE, steps=8),
        long=True,
        limit_seconds=300.0,
    ),
)
