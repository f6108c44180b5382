"""Recovery and throughput, told from the evidence."""

from __future__ import annotations

from sluicegate.drill.evidence import Acknowledged, Evidence, Started, Told
from sluicegate.drill.faults import Fault
from sluicegate.drill.figures import Spread, figures


def test_recovery_is_from_the_fault_to_the_next_start_of_what_ran() -> None:
    """A job that had ended before, or had gone on elsewhere, did not wait for this fault."""
    evidence = Evidence.of(
        [
            Started("running", 1, 1, "w-1", 1.0),
            Started("done", 1, 1, "w-1", 1.0),
            Told("done", 1, True, False, 1.5),
            Started("gone on", 1, 1, "w-1", 0.5),
            Started("gone on", 2, 2, "w-2", 1.2),
            Started("elsewhere", 1, 1, "w-2", 1.0),
            Started("running", 2, 2, "w-2", 4.5),
            Told("running", 2, True, False, 5.0),
        ]
    )
    faults = [Fault(what="kill -9", target="w", at=2.0, over_at=2.0, life="w-1", gone_seconds=0.1)]
    found = figures(evidence, faults, 0.0, 8.0)
    assert found.jobs_again == Spread(number=1, p50=2.5, p95=2.5, longest=2.5)
    assert found.processes_gone == Spread(number=1, p50=0.1, p95=0.1, longest=0.1)
    assert found.service_again is None
    assert (found.before, found.during, found.after) == (0.5, 0.0, 0.2)


def test_a_store_has_recovered_with_the_next_start_and_the_api_with_the_next_job() -> None:
    evidence = Evidence.of(
        [Started("a", 1, 1, "w-1", 3.0), Started("b", 1, 1, "w-1", 6.0), Acknowledged("c", "succeeded", 11.0)]
    )
    faults = [
        Fault(what="kill -9", target="store", at=2.0, over_at=5.0),
        Fault(what="kill -9", target="queue_api", at=10.0, over_at=10.0),
        Fault(what="kill -9", target="sweeper", at=10.0, over_at=10.0),
    ]
    found = figures(evidence, faults, 0.0, 12.0)
    assert found.service_again == Spread(number=2, p50=1.0, p95=4.0, longest=4.0)


def test_late_refusals_are_counted() -> None:
    evidence = Evidence.of([Told("a", 1, False, True, 1.0), Told("a", 2, True, False, 2.0)])
    assert figures(evidence, [], 0.0, 4.0).late_refused == 1
