"""How long recovery took, and what throughput was left meanwhile: from the evidence alone."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from msgspec import Struct

from sluicegate.drill.evidence import Evidence
from sluicegate.drill.faults import Fault


class Spread(Struct, frozen=True, kw_only=True):
    """Seconds."""

    number: int
    p50: float
    p95: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread | None:
        if not seconds:
            return None
        ordered = sorted(seconds)
        return cls(
            number=len(ordered),
            p50=round(_share(ordered, 0.5), 3),
            p95=round(_share(ordered, 0.95), 3),
            longest=round(ordered[-1], 3),
        )


class Figures(Struct, frozen=True, kw_only=True):
    """jobs_again: from a worker's fault to the next start of each job that it ran. service_again: from any
    other fault to the next sign that the queue works: a start, or for queue_api an acknowledgement.
    processes_gone: from a worker's kill to the end of all that it had started.
    before, during, after: accepted completions in a second.
    """

    jobs_again: Spread | None
    service_again: Spread | None
    processes_gone: Spread | None
    before: float
    during: float
    after: float
    late_refused: int


def figures(evidence: Evidence, faults: Sequence[Fault], began: float, enough: float) -> Figures:
    """began, enough: when the load began, and when the producer was told to stop."""
    first = min((fault.at for fault in faults), default=enough)
    last = max((fault.over_at for fault in faults), default=enough)
    done = [told.at for told in evidence.told if told.accepted and not told.late]
    return Figures(
        jobs_again=Spread.of(_jobs_again(evidence, faults)),
        service_again=Spread.of(_service_again(evidence, faults)),
        processes_gone=Spread.of([each.gone_seconds for each in faults if each.gone_seconds is not None]),
        before=_pace(done, began, first),
        during=_pace(done, first, last),
        after=_pace(done, last, enough),
        late_refused=sum(not told.accepted for told in evidence.told),
    )


def _jobs_again(evidence: Evidence, faults: Sequence[Fault]) -> list[float]:
    """A job that was in a handler of the worker that was hit, and whose completion nobody was told."""
    accepted = {(told.job, told.token) for told in evidence.told if told.accepted}
    starts: dict[str, list[float]] = {}
    for line in evidence.started:
        starts.setdefault(line.job, []).append(line.at)
    seconds = []
    for fault in faults:
        if fault.life is None:
            continue
        for line in evidence.started:
            if line.life != fault.life or line.at > fault.at or (line.job, line.token) in accepted:
                continue
            later = [at for at in starts[line.job] if at > fault.at]
            earlier = [at for at in starts[line.job] if line.at < at <= fault.at]
            if later and not earlier:
                seconds.append(later[0] - fault.at)
    return seconds


def _service_again(evidence: Evidence, faults: Sequence[Fault]) -> list[float]:
    starts = [line.at for line in evidence.started]
    acknowledged = [line.at for line in evidence.acknowledged]
    seconds = []
    for fault in faults:
        if fault.life is not None or fault.target not in ("store", "queue_api"):
            continue
        signs = acknowledged if fault.target == "queue_api" else starts
        place = bisect.bisect_right(signs, fault.over_at)
        if place < len(signs):
            seconds.append(signs[place] - fault.at)
    return seconds


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _pace(times: Sequence[float], start: float, end: float) -> float:
    return round(sum(start <= at < end for at in times) / (end - start), 1) if end > start else 0.0
