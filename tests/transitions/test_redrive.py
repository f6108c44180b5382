"""redrive: a dead letter gets a new life, with its history."""

from __future__ import annotations

import msgspec
import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import Conflict, NotFound
from sluicegate.store import audit, dead_letters, endings, jobs, shelves
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents, fields, kinds
from tests.support.job_builder import JobBuilder


async def test_a_dead_letter_starts_anew(store: Store, builder: JobBuilder) -> None:
    """Q-8: attempts from 1, nothing left of the failure but its history; audited."""
    await builder.claim()
    made = await builder.running(max_attempts=1)
    await shelves.state_fact(store, "worker-1", made.job_id, made.token, "start_commit", "abc")
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken", failure_class="flaky"))
    before = await contents(store)
    assert await dead_letters.redrive(store, [made.job_id], actor="ann", reason="fixed") == [True]
    after = await contents(store)
    ready = {"ready", *(f"ready:{policy.id}" for policy in (builder.everything, builder.work))}
    assert changed(before, after) == ready | {
        f"job:{made.job_id}", f"job:{made.job_id}:events", "lane:0|work|||+w", "lanes", "dead", "audit",
        "status:dead_letter", "status:queued", "counters", "events", f"bell:{builder.work.id}",
    }  # fmt: skip
    stored = await fields(store, made.job_id)
    assert stored.pop("entry").startswith("+w")
    assert stored.pop("redriven_at") == stored.pop("updated_at")
    assert stored == {"status": "queued", "token": "1", "max_attempts": "1", "ended": "1:fail:worker-1"}
    assert await dead_letters.listing(store) == ([], None)
    assert await kinds(store, made.job_id) == ["job.claimed", "job.dead_lettered", "job.redriven"]
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.actor_user_id, entry.reason, entry.target) == (
        "dead_letter_redrive", "redrive", "ann", "fixed", made.job_id,
    )  # fmt: skip
    (job,) = await builder.claim()
    assert (job.attempt, job.releases, job.lease_token, job.error_message) == (1, 0, "2", None)
    assert await store.command("HGETALL", keys.job_shelf(made.job_id, "facts")) == ["start_commit", "abc"]


async def test_the_budget_of_its_step_is_there_again_too(store: Store, builder: JobBuilder) -> None:
    """H-2, 70-29: a new life is a new budget; hard resets stay used."""
    made = await builder.running(max_attempts=1)
    for name in ("step_budget", "hard_resets"):
        await shelves.change_fact(store, made.worker, made.job_id, made.token, name, "1")
    await builder.ended(made, endings.Fail(made.job_id, made.token, "broken"))
    await dead_letters.redrive(store, [made.job_id], actor="ann")
    assert await shelves.facts(store, made.job_id) == {"hard_resets": "1"}


async def test_all_attempts_are_there_again(store: Store, builder: JobBuilder) -> None:
    """Q-8: counted from 1, releases from 0; and then it may die again."""
    store.settings = msgspec.structs.replace(store.settings, retry_backoff_base_seconds=0)
    made = await builder.returned(max_attempts=2)
    for token in (2, 3):
        await builder.claim()
        await builder.ended(made, endings.Fail(made.job_id, token, "broken"))
    assert (await jobs.get(store, made.job_id)).status == "dead_letter"
    assert await dead_letters.redrive(store, [made.job_id], actor="ann") == [True]
    for token, attempt in ((4, 1), (5, 2)):
        (job,) = await builder.claim()
        assert (job.attempt, job.releases, job.lease_token) == (attempt, 0, str(token))
        await builder.ended(made, endings.Fail(made.job_id, token, "again"))
    (letter,), _ = await dead_letters.listing(store)
    assert (letter.job_id, letter.last_error, letter.attempts) == (made.job_id, "again", 2)


@pytest.mark.parametrize(
    "state", ["waiting", "delayed", "returned", "running", "stale", "succeeded", "failed", "cancelled"]
)
async def test_only_dead_letters_are_redriven(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    status = (await jobs.get(store, made.job_id)).status
    before = await contents(store)
    (refused,) = await dead_letters.redrive(store, [made.job_id], actor="ann")
    assert isinstance(refused, Conflict)
    assert (refused.code, refused.extra) == ("job_state_conflict", {"jobStatus": status})
    assert await contents(store) == before


async def test_an_unknown_job_is_not_found(store: Store) -> None:
    before = await contents(store)
    (refused,) = await dead_letters.redrive(store, [str(uuid_utils.uuid7())], actor="ann")
    assert isinstance(refused, NotFound)
    assert await contents(store) == before


async def test_twice_is_once(store: Store, builder: JobBuilder) -> None:
    """Q-8: who repeats a redrive whose answer was lost gets it again, as long as the job lives on."""
    made = await builder.dead_letter()
    assert await dead_letters.redrive(store, [made.job_id] * 2, actor="ann") == [True, False]
    before = await contents(store)
    assert await dead_letters.redrive(store, [made.job_id], actor="bob") == [False]
    assert await contents(store) == before
    (job,) = await builder.claim()
    assert await dead_letters.redrive(store, [made.job_id], actor="ann") == [False]
    assert (await jobs.counts(store)).running == 1
    await builder.ended(made, endings.Complete(made.job_id, int(job.lease_token or 0)))
    (refused,) = await dead_letters.redrive(store, [made.job_id], actor="ann")
    assert isinstance(refused, Conflict)


async def test_what_is_being_purged_stays_dead(store: Store, builder: JobBuilder) -> None:
    """Q-8: its files may be gone already, and with them the patches that its next attempt would need."""
    made = await builder.dead_letter()
    await dead_letters.condemn(store, [made.job_id])
    before = await contents(store)
    (refused,) = await dead_letters.redrive(store, [made.job_id], actor="ann")
    assert isinstance(refused, Conflict) and "purged" in refused.detail
    assert await contents(store) == before


async def test_many_are_redriven_in_order(store: Store, builder: JobBuilder) -> None:
    """Q-8."""
    made = [await builder.dead_letter(type=f"t{at}") for at in range(15)]
    assert await dead_letters.redrive(store, [each.job_id for each in made], actor="ann") == [True] * 15
    assert (await jobs.counts(store)).queued == 15
    assert (await audit.page(store, limit=100))[0][0].target == made[-1].job_id
