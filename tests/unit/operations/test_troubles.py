"""What the overview calls wrong, from what was read: each kind from its threshold on, and not before."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from sluicegate.model import Counts, Lane, LiveControl, NarrowPause, Policy, SystemState
from sluicegate.operations import troubles
from sluicegate.operations.troubles import Sight
from sluicegate.settings import ControlSettings
from sluicegate.store.server_health import ServerHealth
from sluicegate.store.signs import Run, Signs, Unheld, Waiting
from sluicegate.store.standing import LiveWorker
from sluicegate.store.workers import Clocks, Presence
from sluicegate.times import to_rfc3339

NOW = 1_800_000_000_000
SETTINGS = ControlSettings()
NONE = Counts(
    queued=0, delayed=0, running=0, stale_running=0, succeeded=0, failed=0, cancelled=0, dead_letter=0
)
ANY = LiveWorker("w1", Policy())


def ago(seconds: float) -> str:
    return to_rfc3339(NOW - int(seconds * 1000))


def sight(**known: Any) -> Sight:
    """A queue in which nothing is wrong, but for what is given; those of `signs` among it."""
    signs = {name: known.pop(name) for name in ("unheld", "waiting", "due_ms") if name in known}
    usual: dict[str, Any] = {
        "signs": Signs(**{"now_ms": NOW, "unheld": [], "waiting": [], "due_ms": None, **signs}),
        "server": None, "system": SystemState(workers_paused=False), "pauses": [], "counts": NONE,
        "workers": [], "live": [ANY], "held": {}, "runs": {}, "died": 0,
    }  # fmt: skip
    return Sight(**{**usual, **known})


def told(settings: ControlSettings = SETTINGS, **known: Any) -> list[tuple[str, str]]:
    return [(each.level, each.word) for each in troubles.of(sight(**known), settings)]


def unheld(job_id: str, *, left: float, worker_id: str = "w9", heard: float | None = 40) -> Unheld:
    return Unheld(
        job_id=job_id, expires_ms=NOW + int(left * 1000), worker_id=worker_id, started_ms=NOW - 90_000,
        heard_ms=None if heard is None else NOW - int(heard * 1000),
    )  # fmt: skip


def waiting(kind: str, seconds: float, *capabilities: str, number: int = 1) -> Waiting:
    return Waiting(
        lane=Lane(kind, capabilities=capabilities), since_ms=NOW - int(seconds * 1000), number=number
    )


def present(**known: Any) -> Presence:
    usual: dict[str, Any] = {
        "worker_id": "w1", "host": "h", "pid": 1, "version": "1", "transport": "redis", "capabilities": [],
        "types": None, "slots": 4, "state": "busy", "jobs": [],
    }  # fmt: skip
    return Presence(**{**usual, **known})


def paused(mode: Any, seconds: float) -> SystemState:
    return SystemState(
        workers_paused=True, mode=mode, reason="Upgrade", requested_by_user_id="ann",
        requested_at=ago(seconds), updated_at=ago(seconds),
    )  # fmt: skip


def narrow(scope: Any, value: str, mode: Any, seconds: float) -> NarrowPause:
    return NarrowPause(
        scope=scope, value=value, mode=mode, reason="Broken", requested_by_user_id="ann",
        requested_at=ago(seconds), updated_at=ago(seconds),
    )  # fmt: skip


def test_a_queue_that_is_well_has_none() -> None:
    assert told() == []
    assert told(counts=structs.replace(NONE, queued=5, running=3, dead_letter=9)) == []


def test_stale_jobs() -> None:
    """P-10: from the threshold on, each with its job; many in one line."""
    assert told(unheld=[unheld("a", left=-1, heard=1)]) == []
    (one,) = troubles.of(sight(unheld=[unheld("a", left=-9)]), SETTINGS)
    assert (one.word, one.href, one.since) == ("Stale", "/jobs/a", ago(9))
    assert "no sweeper" in one.text
    (while_paused,) = troubles.of(sight(unheld=[unheld("a", left=-9)], system=paused("drain", 9)), SETTINGS)
    assert "while all is paused" in while_paused.text
    many = sight(
        unheld=[unheld(str(at), left=-9 - at) for at in range(50)],
        counts=structs.replace(NONE, stale_running=1234),
    )
    (line,) = troubles.of(many, SETTINGS)
    assert "leases of 1,234 jobs" in line.text and line.since == ago(58)


def test_a_worker_that_is_gone_with_its_jobs() -> None:
    found = [
        unheld("a", left=500),
        unheld("b", left=500),
        unheld("c", left=500, worker_id="w<8>", heard=None),
    ]
    two, one = troubles.of(sight(unheld=found), SETTINGS)
    assert (two.word, two.since, two.href) == ("Worker gone", ago(40), "/jobs?status=running&claimedBy=w9")
    assert "holds 2 jobs" in two.text
    assert (one.href, one.since) == ("/jobs/c", ago(90))
    many = [unheld(str(at), left=500, worker_id=f"w{at}") for at in range(9)]
    assert troubles.of(sight(unheld=many), SETTINGS)[3].text.startswith("6 more workers")


def test_work_that_nobody_can_run() -> None:
    """Q-19: what is missing is named; what a worker could run is not called so."""
    assert told(waiting=[waiting("task", 59, "gpu")]) == []
    found = [waiting("task", 61, "gpu", number=12), waiting("mail", 61)]
    (line,) = troubles.of(sight(waiting=found), SETTINGS)
    assert (line.level, line.word, line.since) == ("bad", "Nobody can run it", ago(61))
    assert line.text == "12 jobs of type task: no live worker has capability gpu."
    assert line.href == "/jobs?status=queued&type=task"
    (nobody,) = troubles.of(sight(waiting=[waiting("a", 99), waiting("b", 70)], live=[]), SETTINGS)
    assert nobody.text == "2 jobs of types a, b: no worker was heard of within 30 s."
    assert (nobody.since, nobody.href) == (ago(99), "/jobs?status=queued")


def test_work_that_waits_long() -> None:
    """Not what a pause holds back, which is called by its name."""
    late = {"waiting": [waiting("task", 3700)]}
    assert told(**late) == [("soon", "Waits long")]
    assert told(**late, pauses=[narrow("type", "task", "drain", 5)]) == []
    assert told(**late, system=paused("drain", 5)) == []


def test_a_due_job_without_a_sweeper() -> None:
    assert told(due_ms=NOW - 1000) == []
    assert told(due_ms=NOW - 6000) == [("bad", "No sweeper")]
    assert told(due_ms=NOW - 6000, system=paused("drain", 5)) == []


def test_pauses_that_last() -> None:
    """P-11."""
    assert told(system=paused("drain", 3500), pauses=[narrow("type", "a", "drain", 3500)]) == []
    lasting = [narrow("type", str(at), "drain", 3700) for at in range(5)]
    assert (
        told(system=paused("drain", 3700), pauses=lasting)
        == [("bad", "Paused long")] + [("soon", "Paused long")] * 4
    )


def test_a_quiesce_that_is_not_obeyed() -> None:
    """P-11: 60 s after a quiesce of all workers, or of this one."""
    there = [present(jobs=["a", "b"], paused_jobs=["b"])]
    assert told(workers=there, system=paused("quiesce", 59)) == []
    assert told(workers=there, system=paused("drain", 99)) == []
    (line,) = troubles.of(sight(workers=there, system=paused("quiesce", 61)), SETTINGS)
    assert (line.word, line.href, line.since) == ("Quiesce not obeyed", "/jobs/a", ago(61))
    assert told(workers=there, pauses=[narrow("worker", "w1", "quiesce", 61)]) == [
        ("bad", "Quiesce not obeyed")
    ]
    assert told(workers=there, pauses=[narrow("worker", "w2", "quiesce", 61)]) == []
    many = [present(jobs=[str(at) for at in range(9)])]
    (line,) = troubles.of(sight(workers=many, system=paused("quiesce", 61)), SETTINGS)
    assert line.text.startswith("9 jobs") and line.href == "/pauses"


def test_runs_that_wait_for_a_person() -> None:
    def held(seconds: float, **how: bool) -> LiveControl:
        wanted = {"paused": True, "hard": False, "takeover": False, **how}
        return LiveControl(
            version=1, reason="look", requested_by_user_id="ann", updated_at=ago(seconds), **wanted
        )

    assert told(held={"a": held(59)}) == []
    first, second = troubles.of(sight(held={"a": held(61), "b": held(99, takeover=True)}), SETTINGS)
    assert (first.text, first.href) == ("ann has taken it over: look", "/jobs/b")
    assert (second.text, second.level) == ("ann has paused it: look", "soon")
    assert len(told(held={str(at): held(61) for at in range(9)})) == 4


def test_steps_that_get_nowhere() -> None:
    """H-1."""
    run = Run(type="task", started_at=ago(9), step_id="build", step_index=1, step_attempt=3, stuck=True)
    (line,) = troubles.of(sight(runs={"a": run, "b": structs.replace(run, stuck=False)}), SETTINGS)
    assert (line.word, line.href) == ("No progress", "/jobs/a")
    assert "Step build" in line.text and "attempt 3" in line.text


def test_steps_near_their_limits() -> None:
    """H-1: by what the worker told, and the time since; a silence that is young may be over already."""

    def clocks(silent: float, ran: float = 300, job_id: str = "a", **most: Any) -> Clocks:
        limits = {"most_ran_seconds": 900.0, "most_silent_seconds": 300.0, **most}
        return Clocks(job_id=job_id, ran_seconds=ran, silent_seconds=silent, **limits)

    def told_of(*found: Clocks, **known: Any) -> list[tuple[str, str]]:
        return told(workers=[present(jobs=["a"], clocks=list(found), last_seen=ago(5), **known)])

    assert told_of(clocks(234)) == []
    assert told_of(clocks(236)) == [("soon", "Silent")]
    assert told_of(clocks(306)) == [("bad", "Silent")]
    assert told_of(clocks(9, most_silent_seconds=10)) == []
    assert told_of(clocks(9, ran=716)) == [("soon", "Runs long")]
    assert told_of(clocks(236, ran=716)) == [("soon", "Silent")]
    assert told_of(clocks(236), paused_jobs=["a"]) == []
    assert told_of(clocks(999, most_silent_seconds=None, most_ran_seconds=None)) == []
    assert told_of(*(clocks(250, job_id=str(at)) for at in range(9))) == [("soon", "Silent")] * 4
    run = Run(type="task", started_at=ago(300), step_id="build")
    there = [present(jobs=["a"], clocks=[clocks(236)], last_seen=ago(5))]
    (line,) = troubles.of(sight(workers=there, runs={"a": run}), SETTINGS)
    assert (line.text, line.since) == ("Step build is ended as stuck after 300 s.", ago(241))
    assert line.href == "/jobs/a"


def test_dead_letters() -> None:
    some, many = (structs.replace(NONE, dead_letter=number) for number in (3, 80_000))
    assert told(counts=some, died=0) == []
    assert told(died=2) == []  # they came and are gone again
    assert told(counts=some, died=2) == [("soon", "Dead letters")]
    assert told(counts=many) == [("bad", "Dead letters fill")]
    strict = structs.replace(SETTINGS, retention_max_dead_letters=3)
    assert told(strict, counts=some) == [("bad", "Dead letters full")]


def server(used: int = 0, most: int = 0, **unsafe: bool) -> ServerHealth:
    return ServerHealth(
        used_memory_bytes=used, max_memory_bytes=most, connections=1, max_connections=9, unsafe=unsafe
    )


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (server(eviction=True), [("bad", "Store unsafe")]),
        (server(append_write=True, snapshot_write=True), [("bad", "Store unsafe")] * 2),
        (server(fsync=True, append_only=True), [("bad", "Store unsafe")]),
        (server(append_only=True, fsync=False), []),
        (server(60), []),
        (server(60, 100), []),
        (server(70, 100), [("soon", "Store fills")]),
        (server(90, 100), [("bad", "Store full")]),
    ],
)
def test_the_store(server: ServerHealth, expected: list[tuple[str, str]]) -> None:
    assert told(server=server) == expected


def test_the_queues_room_and_the_order() -> None:
    """What is bad comes first."""
    full = structs.replace(NONE, queued=900_000, delayed=100_000)
    assert told(counts=structs.replace(full, delayed=0)) == [("soon", "Queue fills")]
    assert told(counts=full, waiting=[waiting("a", 3700)], due_ms=NOW - 6000) == [
        ("bad", "No sweeper"), ("bad", "Queue full"), ("soon", "Waits long"),
    ]  # fmt: skip
