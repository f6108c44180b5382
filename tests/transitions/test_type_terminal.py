"""type_terminal: what is typed into a run's terminal, under the grant of who types (L-10, L-14)."""

from __future__ import annotations

from typing import Any

import pytest
import uuid_utils

from sluicegate import keys
from sluicegate.errors import Busy, Conflict, NotFound
from sluicegate.store import terminals
from sluicegate.store.connection import Store
from tests.support import live
from tests.support.contents import changed, contents
from tests.support.job_builder import JobBuilder, Made


async def test_what_is_typed_waits_for_the_worker_in_order(store: Store, builder: JobBuilder) -> None:
    """It says for which attempt, and goes by itself when no worker takes it."""
    made = await builder.running()
    await live.session(store, made.job_id, made.token, granted_to="ann")
    before = await contents(store)
    until = await terminals.type_into(store, made.job_id, "ann", "d", "é\r".encode())
    assert until > await store.now_ms()
    await terminals.type_into(store, made.job_id, "ann", "size", b"90x30")
    assert changed(before, await contents(store)) == {f"job:{made.job_id}:typed"}
    entries = await store.command("XRANGE", keys.job_typed(made.job_id), "-", "+")
    assert [flat for _, flat in entries] == [
        ["token", str(made.token), "d", "é\r"], ["token", str(made.token), "size", "90x30"],
    ]  # fmt: skip
    assert 0 < await store.command("PTTL", keys.job_typed(made.job_id)) <= terminals.TYPED_MS


@pytest.mark.parametrize(
    ("case", "error", "says"),
    [
        ({"status": "starting", "granted_to": "ann"}, Conflict, "starting"),
        ({"status": "revoked", "granted_to": "ann"}, NotFound, "no live session"),
        ({"status": "ended", "granted_to": "ann"}, NotFound, "no live session"),
        ({}, Conflict, "needs a grant"),
        ({"granted_to": "ann", "for_ms": -1}, Conflict, "has ended"),
        ({"granted_to": "ben hur"}, Conflict, "belongs to ben hur"),
        (None, NotFound, "no live session"),
    ],
)  # fmt: skip
async def test_without_a_grant_nothing_is_typed(
    store: Store, builder: JobBuilder, case: dict[str, Any] | None, error: Any, says: str
) -> None:
    """L-10: from the millisecond on in which it ends, by the store's clock; refused, nothing is written."""
    made = await builder.running()
    if case is not None:
        await live.session(store, made.job_id, made.token, **case)
    await refused(store, made.job_id, error, says)


async def test_a_session_of_another_attempt_takes_nothing(store: Store, builder: JobBuilder) -> None:
    made = await builder.running()
    await live.session(store, made.job_id, made.token + 1, granted_to="ann")
    await refused(store, made.job_id, NotFound, "no live session")


@pytest.mark.parametrize("state", ["waiting", "succeeded", "cancelled", "dead_letter"])
async def test_a_job_that_does_not_run_takes_nothing(store: Store, builder: JobBuilder, state: str) -> None:
    made = await builder.made(state)
    await live.session(store, made.job_id, made.token, granted_to="ann")
    await refused(store, made.job_id, Conflict, "is ")


async def test_no_such_job(store: Store, builder: JobBuilder) -> None:
    await refused(store, str(uuid_utils.uuid7()), NotFound, "there is no job")


async def test_a_worker_that_takes_nothing_is_not_buried(
    store: Store, builder: JobBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused rather than lost: a command with a hole in it may do anything."""
    monkeypatch.setattr(terminals, "MOST_TYPED", 3)
    made = await builder.running()
    await live.session(store, made.job_id, made.token, granted_to="ann")
    for _ in range(3):
        await terminals.type_into(store, made.job_id, "ann", "d", b"x")
    await refused(store, made.job_id, Busy, "takes nothing")


async def test_what_was_typed_for_another_attempt_is_not_delivered(store: Store, builder: JobBuilder) -> None:
    entries = [("1-1", {b"token": b"1", b"d": b"x"}), ("2-1", {b"token": b"2", b"size": b"9x9"})]
    assert terminals.typed_entries(entries, 2) == [terminals.Typed("2-1", "size", b"9x9")]


async def refused(store: Store, job_id: str, error: Any, says: str) -> None:
    before = await contents(store)
    with pytest.raises(error, match=says):
        await terminals.type_into(store, job_id, "ann", "d", b"x")
    assert await contents(store) == before


async def test_standings_tell_who_may_type(store: Store, builder: JobBuilder) -> None:
    """What viewers are told of several runs at once; a run that is not there has no status."""
    made: Made = await builder.running()
    await live.session(store, made.job_id, made.token, granted_to="ann")
    there, gone, wrong = await terminals.standings(store, [made.job_id, str(uuid_utils.uuid7()), "?"])
    assert (there.open, there.writer, there.token) == (True, "ann", made.token)
    assert (gone.job_status, gone.open, gone.writer) == (None, False, None)
    assert wrong == gone._replace(now_ms=wrong.now_ms)
    await live.session(store, made.job_id, made.token, granted_to="ann", for_ms=-1)
    assert (await terminals.standing(store, made.job_id)).writer is None
