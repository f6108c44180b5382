"""set_limits: other limits are in force from now on, for what waits and for what runs."""

from __future__ import annotations

import pytest

from sluicegate import keys
from sluicegate.errors import ConfigurationError
from sluicegate.model import Policy
from sluicegate.store import limits, pause
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder
from tests.transitions.test_limits import done, ids, limited, slots


async def test_the_setting_is_kept_in_the_store(store: Store, builder: JobBuilder) -> None:
    """Q-18: one setting for all services; repositories in the form in which they are compared (70-17)."""
    await limited(store, "type=work:2", "repo=https://github.com/Acme/a.git:1", "repo=*:3")
    meta = (await contents(store))["meta"]
    assert meta["limits"] == "|repo=*=3|repo=github.com/acme/a=1|type=work=2|"
    assert (meta["limits_by"], "limits_at" in meta) == ("test", False)
    assert (await limits.in_force(store)).numbers["repo=github.com/acme/a"] == 1


async def test_the_same_again_changes_nothing(store: Store, builder: JobBuilder) -> None:
    await limited(store, "type=work:2", "repo=*:1")
    await builder.running(affinity_key="k", repository="github.com/acme/a")
    await builder.waiting(affinity_key="k")
    assert await ids(builder) == []
    before = await contents(store)
    await limited(store, "repo=*:1", "type=work:2")
    assert await contents(store) == before


async def test_who_says_nothing_changes_nothing(store: Store, builder: JobBuilder) -> None:
    """Q-18: a service without the setting works by what the others said; `none` lifts the limits."""
    await limited(store, "type=work:2")
    store.settings = type(store.settings)(redis_url=store.settings.redis_url)
    assert not await limits.declare(store, by="other")
    assert (await limits.in_force(store)).numbers == {"type=work": 2}
    await limited(store, "none")
    assert (await limits.in_force(store)).numbers == {}


async def test_a_limit_takes_hold_of_what_waits_and_runs(store: Store, builder: JobBuilder) -> None:
    """Q-18: two run already when a limit of two is set, and one of one later."""
    running = [(await builder.running()).job_id for _ in range(2)]
    waiting = [(await builder.waiting()).job_id for _ in range(3)]
    await limited(store, "type=work:2")
    assert await slots(store) == {f"type=work|{job_id}" for job_id in running}
    assert await ids(builder) == []
    await limited(store, "type=work:1")
    await done(builder, running[0])
    assert await ids(builder) == []
    await done(builder, running[1])
    assert await ids(builder) == [waiting[0]]
    await limited(store, "type=work:2")
    assert await ids(builder) == [waiting[1]]
    await limited(store, "none")
    assert await ids(builder) == [waiting[2]]
    assert await store.command("EXISTS", keys.SLOTS, keys.PARKED) == 0


async def test_a_lifted_limit_wakes_who_waits(store: Store, builder: JobBuilder) -> None:
    await limited(store, "repo=*:1")
    await builder.running(repository="github.com/acme/a")
    waiting = await builder.waiting(repository="github.com/acme/a")
    assert await ids(builder) == []
    await store.command("DEL", keys.bell(builder.everything.id))
    await limited(store, "none")
    assert await store.command("LLEN", keys.bell(builder.everything.id)) == 1
    assert await ids(builder) == [waiting.job_id]


async def test_while_paused_the_setting_changes_and_no_job_does(store: Store, builder: JobBuilder) -> None:
    """P-1, Q-18: pause, upgrade with other settings, resume."""
    await builder.waiting()
    assert await ids(builder, Policy(types=())) == []
    await pause.change(store, action="pause", mode="drain", reason="upgrade", actor="ann")
    before = await contents(store)
    await limited(store, "type=work:1")
    policy = Policy(types=()).id
    assert changed(before, await contents(store)) <= {"meta", f"bell:{policy}"}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("work:2", "is not type="),
        ("type=work:0", "n from 1"),
        ("type=Work:2", "names no type"),
        ("repo=acme:2", "an owner and a repository"),
        ("repo=/srv/a:2", "not allowed here"),
        ("type=work:3,type=work:2", "limits already"),
    ],
)
async def test_a_wrong_setting_says_what_is_allowed(
    store: Store, builder: JobBuilder, part: str, told: str
) -> None:
    before = await contents(store)
    with pytest.raises(
        ConfigurationError, match=r"SLUICEGATE_CONCURRENCY_LIMITS=.*is not allowed"
    ) as refused:
        await limited(store, *part.split(","))
    assert told in refused.value.detail
    assert await contents(store) == before
