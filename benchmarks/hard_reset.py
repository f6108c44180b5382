"""How long a hard reset takes: ten finished steps on a large tree, rebuilt and verified, again and again.

An operator asks for it over HTTP while the eleventh step runs: from the call's send to the first line of that
step's script in the new workspace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.programs import until
from benchmarks.subject import Measure, Reading, Round, Scale, Subject, Unmeasured
from benchmarks.tasks import NOW, Scene, file_of, git, scene, stamps
from sluicegate.store import shelves

FILES: Final = 5_000
STEPS: Final = 10
CHANGES: Final = 20
"""Files that each finished step has changed; it has also made one of 64 KiB that is no text."""
WAITS: Final = f"""\
echo {NOW} > {{begun}}-writing
mv {{begun}}-writing {{begun}}-$SLUICEGATE_STEP_ATTEMPT
sleep 3600
"""


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    files = scale.of(FILES, quick=400)
    name = f"hard reset, {STEPS} finished steps, {files:,} files"
    reset = Measure(name=name, unit="s", target=10, ceiling="git clone")
    async with (
        scene(files) as there,
        there.rig.service("control") as url,
        aiohttp.ClientSession(url) as operator,
    ):
        begun = there.folder / "begun"
        scripts = [_script(at) for at in range(STEPS)]
        job_id = await there.enqueue([*scripts, WAITS.format(begun=begun)])
        await _begins(there, begun, 1)
        for done in scale.rounds:
            cloned = await asyncio.to_thread(_clone, there)
            sent = time.time()
            await _ask(operator, job_id)
            at = await _begins(there, begun, done + 2)
            await _require_verified(there, job_id, done + 1)
            yield {reset: Reading(at - sent, cloned)}


def _script(at: int) -> str:
    changed = " ".join(str(file_of(Path(), at * CHANGES + each)) for each in range(CHANGES))
    return f"for file in {changed}; do echo changed >> $file; done\nhead -c 65536 /dev/urandom > data-{at}\n"


async def _ask(operator: aiohttp.ClientSession, job_id: str) -> None:
    call = {"action": "hard_reset_step", "reason": "measured"}
    async with operator.post(f"/api/task-runs/{job_id}/control", json=call) as response:
        if response.status != 200:
            raise Unmeasured(f"the hard reset was refused: {await response.text()}")


async def _begins(there: Scene, begun: Path, attempt: int) -> float:
    """When this attempt of the last step has begun, in seconds of the day."""
    noted = begun.with_name(f"{begun.name}-{attempt}")
    await until(noted.exists, f"attempt {attempt} begins", there.worker)
    return stamps(noted)[0] / 1000


async def _require_verified(there: Scene, job_id: str, number: int) -> None:
    """The workspace was rebuilt so many times, the last time with the tree of the last finished step."""

    async def told() -> bool:
        return len(await there.told(job_id, "task.workspace.rebuilt")) == number

    await until(told, "the rebuilt workspace is told of", there.worker)
    (rebuilt, *_) = await there.told(job_id, "task.workspace.rebuilt")
    saved = (await shelves.steps(there.store, job_id))[-1].tree_hash
    if (rebuilt.payload or {}).get("treeHash") != saved:
        raise Unmeasured(f"another tree than {saved}: {rebuilt.payload}")


def _clone(there: Scene) -> float:
    """Seconds that git takes to lay the same files out, without the steps."""
    started = time.perf_counter()
    git(there.folder, "clone", "-q", "--no-local", str(there.repository), f"clone-{time.monotonic_ns()}")
    return time.perf_counter() - started


SUBJECT: Final = Subject(
    name="hard-reset",
    says="ten finished steps rebuilt and verified on 5,000 files",
    rounds=rounds,
    long=True,
    limit_seconds=400.0,
)
