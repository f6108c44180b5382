"""How soon a stuck step is noticed, from the moment at which its limit is reached to the decision.

The decision is the first signal to the step's processes, which they note; for attempts that get nowhere it is
the event that says what is done about them, from the last line of the attempt that was one too many.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.subject import Measure, Reading, Round, Scale, Subject
from benchmarks.tasks import NOW, Scene, scene, stamps
from sluicegate.times import from_rfc3339

EACH: Final = 4
"""Steps that are stuck in each way at once."""
IDLE_SECONDS: Final = 10.0
"""From here on the processes of a silent step are looked at no less often, however long the limit is."""
WALL_SECONDS: Final = 6.0
TARGET_MS: Final = 1000

NOTES_THE_SIGNAL: Final = f"trap 'echo {NOW} > {{noted}}.stopped; exit 1' INT\n"
RUNS_ON: Final = f"{NOTES_THE_SIGNAL}echo {NOW} > {{noted}}.from\nwhile :; do echo working; sleep 0.2; done\n"
FALLS_SILENT: Final = f"{NOTES_THE_SIGNAL}echo working\necho {NOW} > {{noted}}.from\nsleep 3600\n"
FAILS_ALIKE: Final = f"echo 'error: no such thing' >&2\necho {NOW} >> {{noted}}.from\nexit 1\n"


async def rounds(scale: Scale) -> AsyncGenerator[Round, None]:
    each = scale.of(EACH, quick=1)
    async with scene(200, slots=3 * each) as there:
        for done in scale.rounds:
            wall = [there.folder / f"wall-{done}-{at}" for at in range(each)]
            idle = [there.folder / f"idle-{done}-{at}" for at in range(each)]
            alike = [there.folder / f"alike-{done}-{at}" for at in range(each)]
            once = {"stepAttempts": 1}
            running = await _stuck(there, RUNS_ON, wall, once | {"stepWallSeconds": WALL_SECONDS})
            silent = await _stuck(there, FALLS_SILENT, idle, once | {"stepIdleSeconds": IDLE_SECONDS})
            failing = await _stuck(there, FAILS_ALIKE, alike, {})
            await there.ended(*running, *silent, *failing, as_="dead_letter")
            yield {
                _late("wall clock"): Reading(max(_stopped(each) - WALL_SECONDS * 1000 for each in wall)),
                _late("silence"): Reading(max(_stopped(each) - IDLE_SECONDS * 1000 for each in idle)),
                _late("no progress"): Reading(
                    max([await _decided(there, *pair) for pair in zip(failing, alike, strict=True)])
                ),
            }


def _late(what: str) -> Measure:
    return Measure(name=f"{what}, from its limit to the decision, latest", unit="ms", target=TARGET_MS)


async def _stuck(there: Scene, script: str, noted: Sequence[Path], limits: dict[str, float]) -> list[str]:
    return [await there.enqueue([script.format(noted=each)], limits) for each in noted]


def _stopped(noted: Path) -> float:
    """ms from where the limit counts to the signal."""
    (began,), (stopped,) = stamps(Path(f"{noted}.from")), stamps(Path(f"{noted}.stopped"))
    return stopped - began


async def _decided(there: Scene, job_id: str, noted: Path) -> float:
    """ms from the end of the second attempt to the decision to rebuild."""
    (decided,) = await there.told(job_id, "task.self_heal.escalated")
    return from_rfc3339(decided.created_at) - stamps(Path(f"{noted}.from"))[1]


SUBJECT: Final = Subject(
    name="detection",
    says="from each limit of a stuck step to the decision about it",
    rounds=rounds,
    long=True,
    limit_seconds=180.0,
)
