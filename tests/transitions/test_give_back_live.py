"""give_back_live: who may type gives the keyboard back before its time (L-10)."""

from __future__ import annotations

from typing import Any

import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import NotFound
from sluicegate.store import audit, controls, terminals
from sluicegate.store.connection import Store
from tests.support import live
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder


async def test_the_grant_ends_and_its_end_is_told(store: Store, builder: JobBuilder) -> None:
    """To the worker too, which closes what it opened for the grant; audited; twice is once."""
    made = await builder.running()
    await live.session(store, made.job_id, made.token, granted_to="ann")
    before = await contents(store)
    assert await terminals.give_back(store, made.job_id, "ann")
    job = f"job:{made.job_id}"
    assert changed(before, await contents(store)) == {
        job, f"{job}:live", f"{job}:controls", "audit", "control", "events",
    }  # fmt: skip
    assert (await terminals.standing(store, made.job_id)).writer is None
    (event,) = (await controls.page(store, made.job_id))[0]
    assert (event.action, event.actor_user_id) == ("give_back", "ann")
    (entry,) = (await audit.page(store))[0]
    assert (entry.control, entry.action, entry.mode) == ("live_session", "grant", "given back")
    after = await contents(store)
    assert not await terminals.give_back(store, made.job_id, "ann")
    assert await contents(store) == after


@pytest.mark.parametrize(
    "case",
    [{}, {"granted_to": "ben"}, {"granted_to": "ann", "for_ms": -1}, {"status": "ended"}, None],
    ids=str,
)
async def test_what_is_not_theirs_stays(
    store: Store, builder: JobBuilder, case: dict[str, Any] | None
) -> None:
    made = await builder.running()
    if case is not None:
        await live.session(store, made.job_id, made.token, **case)
    before = await contents(store)
    assert not await terminals.give_back(store, made.job_id, "ann")
    assert await contents(store) == before


async def test_no_such_job(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    with pytest.raises(NotFound):
        await terminals.give_back(store, str(uuid_utils.uuid7()), "ann")
    assert await store.command("EXISTS", keys.job_live(made.job_id)) == 0
