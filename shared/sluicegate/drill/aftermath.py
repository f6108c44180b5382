"""What is left when the load has drained: what the queue says, what doctor finds, what was logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from sluicegate.operations import doctor
from sluicegate.store import Store, jobs, server_health

READ: Final = 500


class Ended(Struct, frozen=True, kw_only=True):
    """What the queue says of a job in the end."""

    status: str
    attempt: int
    max_attempts: int


class Aftermath(Struct, kw_only=True):
    """jobs: by id, as far as they are there. counts: by status, of all jobs in the store.

    differs: what `doctor` found. defects: what processes logged that none should. left: processes that
    outlived the deployment.
    """

    jobs: Mapping[str, Ended]
    counts: Mapping[str, int]
    store_bytes: int = 0
    differs: Sequence[str] = ()
    defects: Sequence[str] = ()
    left: Sequence[int] = ()


async def look(store: Store, job_ids: Sequence[str]) -> Aftermath:
    """Ask the queue for these jobs and for its numbers, and let doctor look at everything."""
    found: dict[str, Ended] = {}
    for start in range(0, len(job_ids), READ):
        for job in await jobs.read(store, job_ids[start : start + READ]):
            if job is not None:
                found[job.id] = Ended(status=job.status, attempt=job.attempt, max_attempts=job.max_attempts)
    checkup = await doctor.check(store)
    health = await server_health.read(store)
    return Aftermath(
        jobs=found,
        counts=msgspec.structs.asdict(await jobs.counts(store)),
        store_bytes=0 if health is None else health.used_memory_bytes,
        differs=[finding.sentence for finding in checkup.faults] + list(checkup.unseen),
    )


def defects(log: Path) -> list[str]:
    """Lines that only a fault of the program writes: something was raised that nobody expected."""
    found = []
    for text in log.read_text(errors="replace").splitlines():
        try:
            line = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.DecodeError:
            if text.startswith("Traceback"):
                found.append("a traceback")
            continue
        event = str(line.get("event", ""))
        if event.endswith((".raised", "_raised")) or "traceback" in line:
            found.append(f"{line.get('service')}: {event}: {line.get('error')}")
    return found
