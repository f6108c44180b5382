"""One pass of each of the sweeper's loops on a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.sweeper.__main__ import loops
from services.sweeper.departed_workers import DepartedWorkers
from services.sweeper.due_jobs import DueJobs
from services.sweeper.ended_pauses import EndedPauses
from services.sweeper.expired_leases import ExpiredLeases
from services.sweeper.pause_record import PauseRecord
from services.sweeper.reconciliation import Reconciliation
from sluicegate import keys
from sluicegate.model import Policy
from sluicegate.settings import Settings, SweeperSettings
from sluicegate.store import Store, jobs, limits, pause, workers
from sluicegate.store.workers import LIVE_SECONDS, Presence
from tests.support.contents import contents, kinds
from tests.support.job_builder import HOUR_MS, JobBuilder, now_ms, past
from tests.support.wait import until

HOUR = 3600.0


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


async def pause_workers(store: Store) -> None:
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="someone")


async def test_due_jobs_go_into_their_lanes(store: Store, builder: JobBuilder) -> None:
    """Q-7: a job whose time has not come stays where it is."""
    due = await builder.delayed(type="due", delay_ms=1)
    later = await builder.delayed(type="later")
    await builder.until_due(due)
    loop = DueJobs(store, HOUR)
    assert await loop.run_once() == {"promoted": 1}
    assert await loop.run_once() == {"promoted": 0}
    assert await store.command("ZRANGE", keys.DELAYED, 0, -1) == [later.job_id]
    assert [job.id for job in await builder.claim(limit=5)] == [due.job_id]


async def test_expired_leases_are_requeued_once(store: Store, builder: JobBuilder) -> None:
    """Q-9."""
    stale = await builder.stale(type="stale")
    running = await builder.running(type="running")
    loop = ExpiredLeases(store, HOUR)
    assert await loop.run_once() == {"expired": 1}
    assert await loop.run_once() == {"expired": 0}
    assert (await jobs.get(store, stale.job_id)).attempt == 2
    assert (await kinds(store, stale.job_id))[-2:] == ["job.lease_expired", "job.retry_scheduled"]
    assert (await jobs.get(store, running.job_id)).status == "running"


@pytest.mark.parametrize("kind", [DueJobs, ExpiredLeases, Reconciliation])
async def test_paused_leases_retries_and_lanes_are_left_alone(
    store: Store, builder: JobBuilder, kind: type[DueJobs | ExpiredLeases | Reconciliation]
) -> None:
    """P-4: stale jobs stay visible as stale."""
    await builder.stale(type="stale")
    await builder.until_due(await builder.delayed(type="due", delay_ms=1))
    await store.command("HSET", keys.LANES, "0|ghost|||+w", 1)
    await pause_workers(store)
    before = await contents(store)
    assert not any((await kind(store, HOUR).run_once()).values())
    assert await contents(store) == before
    assert (await jobs.counts(store)).stale_running == 1
    await pause.change(store, action="resume", actor="someone", force=True)
    assert any((await kind(store, HOUR).run_once()).values())


@pytest.mark.parametrize("kind", [DueJobs, ExpiredLeases, Reconciliation])
async def test_without_the_pause_record_nothing_is_moved(
    store: Store, builder: JobBuilder, kind: type[DueJobs | ExpiredLeases | Reconciliation]
) -> None:
    """P-11: unknown is not "not paused"."""
    await builder.stale(type="stale")
    await builder.until_due(await builder.delayed(type="due", delay_ms=1))
    await store.command("HSET", keys.LANES, "0|ghost|||+w", 1)
    await store.command("DEL", keys.PAUSE)
    before = await contents(store)
    assert not any((await kind(store, HOUR).run_once()).values())
    assert await contents(store) == before


async def test_workers_that_nobody_hears_of_are_forgotten(store: Store, builder: JobBuilder) -> None:
    await builder.claim(Policy(types=("used",)))
    old = int(await now_ms(store)) - 11 * 60 * 1000
    await builder.claim(builder.work)
    await store.command("ZADD", keys.POLICIES_USED, old, builder.work.id)
    await workers.announce(store, presence("live"))
    await workers.announce(store, presence("gone"))
    await store.command("ZADD", keys.WORKERS, await now_ms(store) - LIVE_SECONDS * 2000 - 1000, "gone")
    loop = DepartedWorkers(store, HOUR)
    assert await loop.run_once() == {"workers": 1, "policies": 1}
    assert await loop.run_once() == {"workers": 0, "policies": 0}
    assert [each.worker_id for each in await workers.listing(store)] == ["live"]
    assert await store.command("HKEYS", keys.POLICIES) == [Policy(types=("used",)).id]


def presence(worker_id: str) -> Presence:
    return Presence(
        worker_id=worker_id, host="here", pid=1, version="1", transport="redis", capabilities=[], types=None,
        slots=1, state="idle", jobs=[],
    )  # fmt: skip


async def test_a_forgotten_policy_is_known_again_with_the_next_claim(
    store: Store, builder: JobBuilder
) -> None:
    """A worker that comes back after a long pause gets what waits for it."""
    await builder.claim(builder.work)
    await store.command("ZADD", keys.POLICIES_USED, 1, builder.work.id)
    await DepartedWorkers(store, HOUR).run_once()
    made = await builder.waiting()
    assert [job.id for job in await builder.claim(builder.work)] == [made.job_id]


async def test_differences_are_repaired_and_each_is_logged(
    store: Store, builder: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    await builder.claim()
    made = await builder.waiting()
    await store.command("HSET", keys.LANES, "0|work|||+w", 3)
    await store.command("HSET", keys.LANES, "0|ghost|||+w", 1)
    await store.command("ZREM", keys.READY, "0|work|||+w")
    await store.command("ZREM", keys.ready(builder.everything.id), "0|work|||+w")
    loop = Reconciliation(store, HOUR)
    assert await loop.run_once() == {"repaired": 3}
    assert caplog.text.count("sweeper.reconciled") == 3
    assert await loop.run_once() == {"repaired": 0}
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_slots_are_reconciled_and_other_limits_are_reported(
    store: Store, builder: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    """Q-18: a service was told other limits than those in force; it says so, and changes nothing."""
    made = await builder.running(affinity_key="k")
    await store.command("DEL", keys.SLOTS)
    loop = Reconciliation(store, HOUR)
    assert await loop.run_once() == {"repaired": 1}
    assert await store.command("ZRANGE", keys.SLOTS, 0, -1) == [f"key=k|{made.job_id}"]
    store.settings = msgspec.structs.replace(store.settings, concurrency_limits=("type=work:1",))
    await limits.declare(store, by="queue_api")
    assert await loop.run_once() == {"repaired": 0}
    assert "limits.differ" not in caplog.text
    store.settings = msgspec.structs.replace(store.settings, concurrency_limits=("type=work:2",))
    assert await loop.run_once() == {"repaired": 0}
    assert "limits.differ" in caplog.text
    assert (await limits.in_force(store)).numbers == {"type=work": 1}


async def test_a_lost_pause_record_comes_back(
    store: Store, builder: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    """P-11: see tests/transitions/test_repair_pause.py for what it says."""
    await pause_workers(store)
    await store.command("DEL", keys.PAUSE)
    loop = PauseRecord(store, HOUR)
    assert await loop.run_once() == {"restored": 1}
    assert "sweeper.pause_record.restored" in caplog.text
    assert await loop.run_once() == {"restored": 0}
    assert (await pause.read(store)).reason == "upgrade"


async def test_a_pause_ends_at_its_time(
    store: Store, builder: JobBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    """P-13, P-3: with a line in the log, though a job still runs; see test_end_pauses.py."""
    await builder.running(type="running")
    made = await builder.waiting()
    drain: dict[str, Any] = {"action": "pause", "mode": "drain", "reason": "disk", "actor": "ann"}
    await pause.change(store, **drain, until_ms=await now_ms(store) + HOUR_MS)
    assert await builder.claim() == []
    loop = EndedPauses(store, HOUR)
    assert await loop.run_once() == {"ended": 0}
    ends = await now_ms(store) + 1000
    await pause.change(store, **drain, until_ms=ends)
    await past(store, ends)
    with caplog.at_level("INFO", "sluicegate"):
        assert await loop.run_once() == {"ended": 1}
        assert await loop.run_once() == {"ended": 0}
    (line,) = [record for record in caplog.records if record.getMessage() == "workers_resumed"]
    assert line.__dict__["fields"]["actor"] == "system"
    assert [job.id for job in await builder.claim()] == [made.job_id]


async def test_all_loops_together_do_the_work(
    store: Store, builder: JobBuilder, settings: Settings, tmp_path: Path
) -> None:
    """As the service runs them: nobody else promotes, requeues or repairs."""
    chosen = SweeperSettings(**msgspec.structs.asdict(settings), sweeper_interval_ms=10)
    stale = await builder.stale(type="stale")
    running = loops(store, chosen)
    assert len({loop.name for loop in running}) == len(running)
    for loop in running:
        loop.start()
    try:
        await until(
            lambda: store.command("EXISTS", keys.lane("0|stale|||", "+r")), "the stale job waits once more"
        )
    finally:
        for loop in running:
            await loop.stop()
    assert (await jobs.get(store, stale.job_id)).attempt == 2
