"""A checkup of a whole deployment: what the store says against itself, and the files beside it; and its cure.

Both may be done while everything works.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from sluicegate.artifacts import ArtifactFolder, open_store
from sluicegate.errors import StoreUninitialised
from sluicegate.operations import artifact_check
from sluicegate.settings import Settings
from sluicegate.store import Store, invariants, key_invariants, repair
from sluicegate.store.findings import Finding, Progress

ROUNDS: Final = 5
"""Most repairs in a row: one may bring to light what the fault before it hid."""


class Checkup(Struct, kw_only=True):
    """findings: faults and notes. unseen: what could not be looked at, in a sentence each."""

    findings: list[Finding]
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
    unseen = [] if survey.whole else ["the rest was not looked at: what is wrong so far would mislead it"]
    files = _files(store.settings)
    if files is None:
        unseen.append("the files of artifacts were not looked at: they are not in a folder of this machine")
    elif survey.whole:
        found += [finding async for finding in artifact_check.survey(store, files)]
    return Checkup(
        findings=found, unseen=unseen, jobs=survey.jobs, lanes=survey.lanes, seconds=time.monotonic() - began
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


def _files(settings: Settings) -> ArtifactFolder | None:
    """The folder of artifacts, if it is here."""
    kept = open_store(settings)
    return kept if isinstance(kept, ArtifactFolder) and kept.root.is_dir() else None
