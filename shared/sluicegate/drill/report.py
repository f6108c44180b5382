"""The report: what was done, what held, how long recovery took; as Markdown or JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

import sluicegate
from sluicegate.drill.drills import LEASE_SECONDS
from sluicegate.drill.figures import Spread
from sluicegate.drill.judge import Check
from sluicegate.drill.run import Outcome
from sluicegate.times import now_ms, to_rfc3339


class Report(Struct, frozen=True, kw_only=True):
    """interrupted: by a signal; what had not come to its end is not among the outcomes."""

    seed: int
    workers: int
    outcomes: Sequence[Outcome]
    seconds: float
    interrupted: bool = False

    @property
    def held(self) -> bool:
        return not self.interrupted and bool(self.outcomes) and all(each.held for each in self.outcomes)

    @property
    def jobs(self) -> int:
        return sum(each.jobs for each in self.outcomes)

    @property
    def kills(self) -> int:
        return sum(fault.what == "kill -9" for each in self.outcomes for fault in each.faults)

    @property
    def broken(self) -> int:
        return sum(not check.held for each in self.outcomes for check in each.checks)

    @property
    def verdict(self) -> str:
        faults = sum(len(each.faults) for each in self.outcomes)
        number = f"{self.jobs:,} jobs, {self.kills} kills and {faults - self.kills} other faults"
        if self.interrupted:
            return f"Interrupted after {number}: nothing is proved."
        if self.held:
            return (
                f"Every promise was kept: {number} in {self.seconds:.0f} s, none lost, none completed twice."
            )
        which = "1 promise was" if self.broken == 1 else f"{self.broken} promises were"
        return f"{which} broken: {number} in {self.seconds:.0f} s."


def document(report: Report) -> dict[str, Any]:
    """The same as JSON has it."""
    return {
        "held": report.held,
        "interrupted": report.interrupted,
        "seed": report.seed,
        "workers": report.workers,
        "leaseSeconds": LEASE_SECONDS,
        "jobs": report.jobs,
        "kills": report.kills,
        "seconds": report.seconds,
        "drills": [_outcome(each) for each in report.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.drill.name,
        "held": outcome.held,
        "jobs": outcome.jobs,
        "faults": len(outcome.faults),
        "seconds": outcome.seconds,
        "storeBytes": outcome.store_bytes,
        "checks": [
            {
                "promise": each.promise,
                "held": each.held,
                "measured": each.measured,
                "broken": list(each.broken),
            }
            for each in outcome.checks
        ],
        "figures": None if outcome.figures is None else msgspec.to_builtins(outcome.figures),
    }


def markdown(report: Report) -> str:
    lines = [
        "# Failure drill",
        "",
        report.verdict,
        "",
        f"{to_rfc3339(now_ms())[:10]}, Sluicegate {sluicegate.__version__}, {platform.system()}, "
        f"{os.cpu_count()} cores. Seed {report.seed}; {report.workers} workers, every second one over HTTP; "
        f"leases of {LEASE_SECONDS:g} s.",
        "",
        *_summary(report.outcomes),
    ]
    for outcome in report.outcomes:
        lines += ["", *_section(outcome)]
    return "\n".join(lines) + "\n"


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [
        [
            each.drill.name,
            f"{each.jobs:,}",
            str(len(each.faults)),
            "all kept" if each.held else f"{sum(not check.held for check in each.checks)} broken",
            *_paces(each),
            f"{each.seconds:.0f} s",
        ]
        for each in outcomes
    ]
    return _table(["drill", "jobs", "faults", "promises", "done/s before", "during", "after", "time"], rows)


def _paces(outcome: Outcome) -> list[str]:
    found = outcome.figures
    return ["-"] * 3 if found is None else [f"{each:g}" for each in (found.before, found.during, found.after)]


def _section(outcome: Outcome) -> list[str]:
    lines = [f"## {outcome.drill.name}: {outcome.drill.says}", ""]
    lines += _table(
        ["", "promise", "measured"],
        [["kept" if each.held else "BROKEN", each.promise, each.measured] for each in outcome.checks],
    )
    broken = [f"- {check.promise}: {examples(check)}" for check in outcome.checks if not check.held]
    if broken:
        lines += ["", *broken]
    if (found := outcome.figures) is not None:
        spreads = {
            "from a worker's fault to the next start of each job that it ran": found.jobs_again,
            "from another fault to the next sign of work": found.service_again,
            "from a worker's kill to the end of all it had started": found.processes_gone,
        }
        rows = [[what, *_spread(each)] for what, each in spreads.items() if each is not None]
        if rows:
            lines += ["", *_table(["recovery, in seconds", "number", "p50", "p95", "max"], rows)]
    if outcome.store_bytes:
        lines += [
            "",
            f"In the end the store held {outcome.jobs:,} jobs in {outcome.store_bytes / 1e6:.1f} MB.",
        ]
    return lines


def _spread(spread: Spread) -> list[str]:
    return [str(spread.number), *(f"{each:.2f}" for each in (spread.p50, spread.p95, spread.longest))]


def examples(check: Check) -> str:
    """Some of what broke it."""
    more = check.number - len(check.broken)
    return "; ".join(check.broken) + (f", and {more} more" if more else "")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]
