"""A checkup of a whole deployment: what the store says against itself, and the files beside it; and its cure.

Both may be done while everything works.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from sluicegate.artifacts import ArtifactFolder, open_store
from sluicegate.errors import StoreFault, StoreUninitialised
from sluicegate.operations import artifact_check
from sluicegate.settings import Settings
from sluicegate.store import Store, invariants, job_invariants, key_invariants, repair
from sluicegate.store.findings import Finding, Progress

ROUNDS: Final = 5
"""Most repairs in a row: one may bring to light what the fault before it hid."""


class Checkup(Struct, kw_only=True):
    """findings: faults and notes. whole: False when the check had to end early. unseen: what it missed."""

    findings: list[Finding]
    whole: bool
    unseen: list[str] = field(default_factory=list)
    jobs: int
    lanes: int
    seconds: float

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.kind.note]

    @property
    def plan(self) -> list[Finding]:
        """What a cure would repair."""
        return [finding for finding in self.findings if finding.kind.by]


async def size(store: Store) -> int:
    """About how many jobs a checkup will look at; 0 where that cannot be told."""
    try:
        return await invariants.size(store)
    except StoreFault:
        return 0


async def check(store: Store, progress: Progress = lambda _: None) -> Checkup:
    """Look at everything; nothing is written. progress: is told of jobs as they are looked at.

    Raises StoreUninitialised where no queue ever was, StoreVersionMismatch.
    """
    began = time.monotonic()
    if await key_invariants.is_empty(store):
        raise StoreUninitialised(
            "there is no queue in this store: is it the right one (SLUICEGATE_REDIS_URL)?"
        )
    survey = await invariants.survey(store, progress)
    found = list(survey.found)
    unseen = [] if survey.whole else ["The rest was not looked at: it cannot be, until this is repaired."]
    files = _files(store.settings)
    if files is None and survey.whole and await _any_artifact(store):
        unseen.append(
            "The files of artifacts were not looked at: there is no such folder on this machine (--data-dir)."
        )
    elif files is not None and survey.whole:
        found += [finding async for finding in artifact_check.survey(store, files)]
    return Checkup(
        findings=found,
        whole=survey.whole,
        unseen=unseen,
        jobs=survey.jobs,
        lanes=survey.lanes,
        seconds=time.monotonic() - began,
    )


async def cure(
    store: Store, found: Checkup, progress: Progress = lambda _: None
) -> tuple[list[Finding], Checkup]:
    """Repair what a checkup found, check again, and repair what that brought to light.

    Returns what was repaired, and the last checkup.
    """
    repaired: dict[Finding, None] = {}
    for _ in range(ROUNDS):
        if not (plan := [finding for finding in found.plan if finding not in repaired]):
            break
        await _apply(store, plan)
        repaired |= dict.fromkeys(plan)
        found = await check(store, progress)
    return [finding for finding in repaired if finding not in found.findings], found


async def _apply(store: Store, plan: Sequence[Finding]) -> None:
    await repair.apply(store, plan)
    files = _files(store.settings)
    if files is not None:
        await artifact_check.repair(store, files, [finding for finding in plan if finding.kind.by == "files"])


async def _any_artifact(store: Store) -> bool:
    async for _ in job_invariants.pages_with_artifacts(store):
        return True
    return False


def _files(settings: Settings) -> ArtifactFolder | None:
    """The folder of artifacts, if it is here."""
    kept = open_store(settings)
    return kept if isinstance(kept, ArtifactFolder) and kept.root.is_dir() else None
