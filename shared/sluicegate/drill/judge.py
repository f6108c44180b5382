"""Whether the queue kept its promises: what was seen outside of it, set against what it says itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from sluicegate.drill.aftermath import Aftermath
from sluicegate.drill.evidence import Evidence, Told
from sluicegate.drill.faults import Fault

SHOWN: Final = 5
TERMINAL: Final = ("succeeded", "failed", "cancelled", "dead_letter")


class Check(Struct, frozen=True, kw_only=True):
    """A promise, what it was measured by, and some of what broke it, if anything did."""

    promise: str
    measured: str
    broken: Sequence[str] = field(default_factory=list[str])
    number: int = 0

    @property
    def held(self) -> bool:
        return self.number == 0


def judge(
    evidence: Evidence, found: Aftermath, faults: Sequence[Fault], *, asked: int, late: bool
) -> list[Check]:
    """Every promise. asked: how many faults there should be. late: there should be late completions."""
    return [
        *_jobs(evidence, found),
        *_completions(evidence, found),
        *_attempts(evidence, found, late=late),
        *_traces(evidence, found, faults, asked),
    ]


def broken_off(why: str, left: Sequence[int]) -> list[Check]:
    """Of a drill that did not come to its end: nothing is proved. left: as in Aftermath."""
    return [_check("The drill comes to its end", "the whole deployment", [why]), _none_left(left)]


def _jobs(evidence: Evidence, found: Aftermath) -> list[Check]:
    acknowledged = {line.job: line.outcome for line in evidence.acknowledged}
    lost = [job for job in acknowledged if job not in found.jobs]
    there = {job: found.jobs[job] for job in acknowledged if job in found.jobs}
    unfinished = [f"{job} is {each.status}" for job, each in there.items() if each.status not in TERMINAL]
    other = [
        f"{job} is {each.status}, not {acknowledged[job]}"
        for job, each in there.items()
        if each.status in TERMINAL and each.status != acknowledged[job]
    ]
    total = sum(found.counts.values())
    extra = [] if total == len(acknowledged) else [f"the statuses hold {total} jobs in all"]
    return [
        _check("No acknowledged job is lost", f"{len(acknowledged):,} acknowledged", lost),
        _check("Each job has ended", f"{len(there):,} jobs", unfinished),
        _check("Each job has ended as it should", f"{len(there):,} jobs", other),
        _check("Each job has exactly one status, and no other job is there", _counted(found.counts), extra),
    ]


def _completions(evidence: Evidence, found: Aftermath) -> list[Check]:
    accepted: defaultdict[str, dict[int, Told]] = defaultdict(dict)
    for told in evidence.told:
        if told.accepted:
            accepted[told.job].setdefault(told.token, told)
    twice = [f"{job} by the tokens {_listed(tokens)}" for job, tokens in accepted.items() if len(tokens) > 1]
    undone = [
        f"{job} is {found.jobs[job].status if job in found.jobs else 'not there'}"
        for job in accepted
        if job not in found.jobs or found.jobs[job].status != "succeeded"
    ]
    returned = {line.job for line in evidence.returned if line.done}
    succeeded = [job for job, each in found.jobs.items() if each.status == "succeeded"]
    unrun = [job for job in succeeded if job not in returned]
    first = {job: min(told.at for told in tokens.values()) for job, tokens in accepted.items()}
    again = [
        f"{line.job} in attempt {line.attempt}"
        for line in evidence.started
        if line.job in first and line.at > first[line.job]
    ]
    number = f"{len(accepted):,} accepted completions"
    return [
        _check("No job has two accepted completions", number, twice),
        _check("An accepted completion stays", number, undone),
        _check("What succeeded was run to its end", f"{len(succeeded):,} succeeded", unrun),
        _check(
            "Nothing runs again after its accepted completion", f"{len(evidence.started):,} starts", again
        ),
    ]


def _attempts(evidence: Evidence, found: Aftermath, *, late: bool) -> list[Check]:
    starts = Counter((line.job, line.token) for line in evidence.started)
    doubled = [f"{job} with token {token}" for (job, token), times in starts.items() if times > 1]
    backwards = []
    newest: dict[str, int] = {}
    for line in evidence.started:
        if line.token < newest.get(line.job, 0):
            backwards.append(f"{line.job}: {line.token} after {newest[line.job]}")
        newest[line.job] = max(line.token, newest.get(line.job, 0))
    most: dict[str, int] = {}
    for line in evidence.started:
        most[line.job] = max(line.attempt, most.get(line.job, 0))
    beyond = [
        f"{job}: {max(each.attempt, most.get(job, 0))} of {each.max_attempts}"
        for job, each in found.jobs.items()
        if max(each.attempt, most.get(job, 0)) > each.max_attempts
    ]
    refused = [told for told in evidence.told if not told.accepted]
    stale = [
        f"{told.job}: token {told.token} was accepted when {newest[told.job]} had begun"
        for told in evidence.told
        if told.accepted and told.token < newest.get(told.job, 0)
    ]
    if late and not refused:
        stale.append("none was made, so nothing is proved")
    return [
        _check("No attempt is handed out twice", f"{len(starts):,} attempts", doubled),
        _check("Tokens of a job only grow", f"{len(starts):,} attempts", backwards),
        _check("No job has more attempts than it may", f"{len(found.jobs):,} jobs", beyond),
        _check("Late completions are refused", f"{len(refused):,} refused", stale),
    ]


def _traces(evidence: Evidence, found: Aftermath, faults: Sequence[Fault], asked: int) -> list[Check]:
    killed = [fault for fault in faults if fault.life is not None and fault.what == "kill -9"]
    left = [f"{fault.life}: {_listed(fault.left)}" for fault in killed if fault.left]
    running = found.counts.get("running", 0) + found.counts.get("stale_running", 0)
    held = [f"{running} jobs run"] if running else []
    missing = [f"{len(faults):,} of {asked}"] if len(faults) < asked else []
    return [
        _check("No lease is left", f"{len(found.jobs):,} jobs", held),
        _check("Doctor finds nothing that differs", f"{sum(found.counts.values()):,} jobs", found.differs),
        _check("No process of a killed worker lives on", f"{len(killed):,} workers killed", left),
        _none_left(found.left),
        _check("No process logged a defect", "all logs", found.defects),
        _check("All faults were made", f"{len(faults):,} faults", missing),
        _check("The evidence is whole", f"{len(evidence.started):,} starts", evidence.damaged),
    ]


def _none_left(left: Sequence[int]) -> Check:
    return _check("No process of the deployment lives on", "all looked for", [str(pid) for pid in left])


def _check(promise: str, measured: str, broken: Sequence[str]) -> Check:
    return Check(promise=promise, measured=measured, broken=list(broken[:SHOWN]), number=len(broken))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {status}" for status, number in counts.items() if number) or "no jobs"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
