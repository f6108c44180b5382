"""Dead letters, retries and changes of many through the client, alike on both ways (70-58)."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.client import Client
from sluicegate.client.client import Choice
from sluicegate.errors import Conflict, Invalid, NotFound
from sluicegate.operations.calls import ManyFilter
from sluicegate.store.connection import Store
from tests.services.client.test_jobs import UNKNOWN, paths
from tests.support.job_builder import JobBuilder


@pytest.fixture
def builder(store: Store) -> JobBuilder:
    return JobBuilder(store)


def test_the_keywords_of_a_choice_are_the_fields_of_a_filter() -> None:
    """70-10"""
    assert set(Choice.__annotations__) == set(ManyFilter.__struct_fields__)


async def test_dead_letters_are_listed(client: Client, builder: JobBuilder) -> None:
    """Q-8, 70-12"""
    made = [(await builder.dead_letter(type=f"t{at}")).job_id for at in range(3)]
    page = await client.dead_letters(limit=2)
    assert [each.job_id for each in page.items] == [made[2], made[1]]
    rest = await client.dead_letters(limit=2, cursor=page.next_cursor)
    assert ([each.job_id for each in rest.items], rest.next_cursor) == ([made[0]], None)
    (letter,) = (await client.dead_letters(type="t1", failure_class="flaky")).items
    assert (letter.last_error, letter.attempts, letter.repository) == ("broken", 1, None)
    assert (await client.dead_letters(repository="acme/a")).items == []
    with pytest.raises(Invalid) as refused:
        await client.dead_letters(type="No")
    assert paths(refused.value) == ["type"]


async def test_one_is_retried(client: Client, builder: JobBuilder) -> None:
    """70-11: as a new job, or as itself; asked again it is the same job."""
    failed, dead = await builder.failed(type="a"), await builder.dead_letter(type="b")
    again = await client.retry(failed.job_id, "repaired")
    assert (again.retry_of, again.status) == (failed.job_id, "queued")
    assert await client.retry(failed.job_id) == again
    redriven = await client.retry(dead.job_id)
    assert (redriven.id, redriven.status, redriven.attempt) == (dead.job_id, "queued", 1)
    assert await client.retry(dead.job_id) == redriven
    with pytest.raises(Conflict) as refused:
        await client.retry(again.id)
    assert refused.value.code == "job_state_conflict"
    for job_id in (UNKNOWN, "../jobs"):
        with pytest.raises(NotFound):
            await client.retry(job_id)
    with pytest.raises(Invalid) as wrong:
        await client.retry(failed.job_id, "x" * 3000)
    assert paths(wrong.value) == ["reason"]


@pytest.mark.parametrize(
    ("change", "state", "expected"),
    [("cancel_many", "waiting", "cancelled"), ("retry_many", "failed", "failed"),
     ("redrive", "dead_letter", "queued"), ("purge", "dead_letter", None)],
)  # fmt: skip
async def test_many_are_changed_by_ids_or_by_choice(
    client: Client, builder: JobBuilder, change: str, state: str, expected: str | None
) -> None:
    """Q-8, C-1, 70-10, 70-49"""
    made = [(await builder.made(state, type=f"t{at}")).job_id for at in range(3)]
    call = getattr(client, change)
    dry = await call(made, dry_run=True)
    assert (dry.matched, dry.changed, dry.dry_run, dry.items) == (3, 0, True, [])
    by_ids = await call([made[0], UNKNOWN], reason="why not")
    assert (by_ids.matched, by_ids.changed) == (1, 1)
    assert [(item.id, (item.error or {}).get("code")) for item in by_ids.items] == [
        (made[0], None), (UNKNOWN, "job_not_found"),
    ]  # fmt: skip
    by_choice = await call(type="t1", status="queued" if state == "waiting" else state)
    assert [item.id for item in by_choice.items] == [made[1]]
    narrowed = await call(made, type="t2")
    assert [item.id for item in narrowed.items] == [made[2]]
    for job_id in made:
        if expected is None:
            with pytest.raises(NotFound):
                await client.get(job_id)
        else:
            assert (await client.get(job_id)).status == expected


@pytest.mark.parametrize("change", ["cancel_many", "retry_many", "redrive", "purge"])
@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [({}, "filter"), ({"ids": []}, "filter"), ({"ids": ["7"]}, "ids[0]"), ({"type": "No"}, "filter.type"),
     ({"created_after": "soon"}, "filter.createdAfter")],
    ids=str,
)  # fmt: skip
async def test_a_wrong_choice_is_refused_alike(
    client: Client, change: str, arguments: dict[str, Any], wrong: str
) -> None:
    """70-10: nothing chosen is never everything."""
    with pytest.raises(Invalid) as refused:
        await getattr(client, change)(**arguments)
    assert paths(refused.value) == [wrong]


async def test_ids_without_number_go_in_several_requests(client: Client, builder: JobBuilder) -> None:
    """70-10: each of at most 1,000; all answers together."""
    made = await builder.enqueued(*(builder.submission() for _ in range(1_050)))
    done = await client.cancel_many(made)
    assert (done.matched, done.changed) == (1_050, 1_050)
    assert [item.id for item in done.items] == made
