"""The judge finds each way in which a drill can go wrong: one that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from sluicegate.drill.aftermath import Aftermath, Ended
from sluicegate.drill.evidence import Acknowledged, Evidence, Returned, Started, Told
from sluicegate.drill.faults import Fault
from sluicegate.drill.judge import Check, broken_off, judge

DONE = Ended(status="succeeded", attempt=1, max_attempts=3)
DEAD = Ended(status="dead_letter", attempt=2, max_attempts=2)


class Case:
    """A drill in which all went well: `a` succeeded at once; `b` after its worker was killed, and was late;
    `c` used up its attempts."""

    def __init__(self) -> None:
        self.lines = [
            Acknowledged("a", "succeeded", 1.0),
            Acknowledged("b", "succeeded", 1.0),
            Acknowledged("c", "dead_letter", 1.0),
            Started("a", 1, 1, "worker-1-10", 2.0),
            Returned("a", 1, True, 3.0),
            Told("a", 1, True, False, 3.1),
            Started("b", 1, 1, "worker-1-10", 2.0),
            Started("c", 1, 1, "worker-2-11", 2.0),
            Started("c", 2, 2, "worker-2-11", 4.0),
            Started("b", 2, 2, "worker-2-11", 6.0),
            Told("b", 1, False, True, 6.5),
            Returned("b", 2, True, 7.0),
            Told("b", 2, True, False, 7.1),
        ]
        self.faults = [Fault(what="kill -9", target="worker-1", at=4.0, over_at=4.0, life="worker-1-10")]
        self.found = Aftermath(
            jobs={"a": DONE, "b": structs.replace(DONE, attempt=2), "c": DEAD},
            counts={"queued": 0, "running": 0, "stale_running": 0, "succeeded": 2, "dead_letter": 1},
        )
        self.damaged: list[str] = []
        self.asked = 1

    def judged(self) -> list[Check]:
        evidence = Evidence.of(self.lines, self.damaged)
        return judge(evidence, self.found, self.faults, asked=self.asked, late=True)

    def becomes(self, job: str, **changes: object) -> None:
        self.found.jobs = {**self.found.jobs, job: structs.replace(self.found.jobs[job], **changes)}

    def count(self, **changes: int) -> None:
        self.found.counts = {**self.found.counts, **changes}


def lost(case: Case) -> str:
    case.found.jobs = {job: each for job, each in case.found.jobs.items() if job != "c"}
    return "No acknowledged job is lost"


def unfinished(case: Case) -> str:
    case.becomes("b", status="queued")
    return "Each job has ended"


def ended_otherwise(case: Case) -> str:
    case.becomes("b", status="dead_letter")
    return "Each job has ended as it should"


def counted_twice(case: Case) -> str:
    case.count(failed=1)
    return "Each job has exactly one status, and no other job is there"


def completed_twice(case: Case) -> str:
    case.lines.append(Told("b", 1, True, True, 7.05))
    return "No job has two accepted completions"


def completion_lost(case: Case) -> str:
    case.becomes("a", status="queued")
    return "An accepted completion stays"


def never_run(case: Case) -> str:
    case.lines[4] = Returned("a", 1, False, 3.0)
    return "What succeeded was run to its end"


def run_again(case: Case) -> str:
    case.lines.append(Started("a", 2, 2, "worker-2-11", 9.0))
    return "Nothing runs again after its accepted completion"


def handed_out_twice(case: Case) -> str:
    case.lines.append(Started("b", 2, 2, "worker-3-12", 6.1))
    return "No attempt is handed out twice"


def old_token(case: Case) -> str:
    case.lines.append(Started("b", 1, 1, "worker-3-12", 6.9))
    return "Tokens of a job only grow"


def attempts_in_excess(case: Case) -> str:
    case.lines.append(Started("c", 3, 3, "worker-2-11", 5.0))
    return "No job has more attempts than it may"


def stale_accepted(case: Case) -> str:
    """Though the newer attempt's was refused then, so that there is one accepted completion."""
    case.lines[-1] = Told("b", 1, True, True, 6.6)
    return "Late completions are refused"


def nothing_late(case: Case) -> str:
    case.lines = [line for line in case.lines if not isinstance(line, Told) or line.accepted]
    return "Late completions are refused"


def lease_left(case: Case) -> str:
    case.count(stale_running=1, succeeded=1)
    return "No lease is left"


def differs(case: Case) -> str:
    case.found.differs = ["lane x holds an entry of a job that is gone"]
    return "Doctor finds nothing that differs"


def process_left(case: Case) -> str:
    case.faults[0].left = [4711]
    return "No process of a killed worker lives on"


def deployment_left(case: Case) -> str:
    case.found.left = [4712]
    return "No process of the deployment lives on"


def defect(case: Case) -> str:
    case.found.defects = ["worker: worker.heartbeat.raised"]
    return "No process logged a defect"


def fault_missing(case: Case) -> str:
    case.asked = 2
    return "All faults were made"


def damaged(case: Case) -> str:
    case.damaged = ["worker-1-10.jsonl: it is no JSON"]
    return "The evidence is whole"


WRONGS: tuple[Callable[[Case], str], ...] = (
    lost, unfinished, ended_otherwise, counted_twice, completed_twice, completion_lost, never_run, run_again,
    handed_out_twice, old_token, attempts_in_excess, stale_accepted, nothing_late, lease_left, differs,
    process_left, deployment_left, defect, fault_missing, damaged,
)  # fmt: skip


def test_a_drill_in_which_all_went_well_keeps_every_promise() -> None:
    assert [check.promise for check in Case().judged() if not check.held] == []


def test_each_promise_can_be_broken() -> None:
    assert {wrong(Case()) for wrong in WRONGS} == {check.promise for check in Case().judged()}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_what_went_wrong_is_found(wrong: Callable[[Case], str]) -> None:
    case = Case()
    promise = wrong(case)
    (check,) = [each for each in case.judged() if each.promise == promise]
    assert not check.held
    assert check.number == len(check.broken) == 1


def test_a_repeated_answer_to_one_completion_is_one_completion() -> None:
    """A completion whose answer was lost is sent again under the same token."""
    case = Case()
    case.lines.append(Told("b", 2, True, False, 7.4))
    assert all(check.held for check in case.judged())


def test_many_faults_are_counted_and_some_are_shown() -> None:
    case = Case()
    case.lines += [Acknowledged(f"lost-{number}", "succeeded", 1.0) for number in range(40)]
    check = case.judged()[0]
    assert (check.number, len(check.broken)) == (40, 5)


def test_a_drill_that_was_broken_off_proves_nothing() -> None:
    ended, none_left = broken_off("the store did not come back", left=[4711])
    assert (ended.broken, none_left.broken) == (["the store did not come back"], ["4711"])
