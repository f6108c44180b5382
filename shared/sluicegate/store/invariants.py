"""Says where the store contradicts itself: each job in exactly one place, all indexes agreeing (DESIGN 7).

Reads only, in pages: memory grows with the faults, not with the jobs. Every job, entry and lane is judged by
one script in one moment, so a store at work has no faults that come and go; the rest is looked at twice.
"""

from __future__ import annotations

from msgspec import Struct, field

from sluicegate import keys
from sluicegate.model import STATUSES
from sluicegate.store import (
    job_invariants,
    key_invariants,
    lane_invariants,
    limit_invariants,
    policy_invariants,
)
from sluicegate.store.connection import Store
from sluicegate.store.findings import Finding, Findings, Progress, of_word


class Survey(Struct):
    """What was looked at, and found. whole: False when the look ended early, since scripts would fail."""

    found: dict[Finding, None] = field(default_factory=dict)
    jobs: int = 0
    lanes: int = 0
    whole: bool = False

    async def add(self, findings: Findings) -> None:
        """Each once: a scan may meet a key twice, and a job stands in several indexes."""
        async for finding in findings:
            self.found[finding] = None

    @property
    def faults(self) -> list[Finding]:
        """What contradicts an invariant; the rest are notes."""
        return [finding for finding in self.found if not finding.kind.note]


async def check(store: Store) -> list[str]:
    """The faults, one sentence each; empty when all is well."""
    return [finding.sentence for finding in (await survey(store)).faults]


async def size(store: Store) -> int:
    """How many jobs there are by the indexes of their statuses."""
    return sum(await store.commands(*(("ZCARD", keys.status(name)) for name in STATUSES)))


async def survey(store: Store, progress: Progress = lambda _: None) -> Survey:
    """Look at everything. progress: is told of each job once; of other things, never."""
    survey = Survey()
    await survey.add(key_invariants.survey(store))
    if any(finding.code == "wrong_type" for finding in survey.found):
        return survey
    await survey.add(key_invariants.foundation(store))
    await survey.add(policy_invariants.unreadable(store))
    if any(finding.kind.first for finding in survey.found):
        return survey
    await survey.add(_pause(store))
    await survey.add(job_invariants.survey(store, progress))
    await survey.add(lane_invariants.letters(store))
    lanes = sorted(await lane_invariants.known(store))
    for lane in lanes:
        await survey.add(lane_invariants.entries(store, lane))
    await survey.add(lane_invariants.survey(store, lanes))
    await survey.add(policy_invariants.survey(store))
    await survey.add(key_invariants.counters(store))
    if not survey.faults:
        await survey.add(_limits(store))
    survey.jobs, survey.lanes, survey.whole = await size(store), len(lanes), True
    return survey


async def _limits(store: Store) -> Findings:
    """What limits hold back. It rests on jobs and lanes: of damaged ones it would only say the same again."""
    for sentence in await limit_invariants.check(store):
        yield Finding("wrong_limits", sentence)


async def _pause(store: Store) -> Findings:
    """The record that claims check."""
    (words,) = await store.run("examine_pause")
    for word in words:
        yield of_word(word, keys.PAUSE)
