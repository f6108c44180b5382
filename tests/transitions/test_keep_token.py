"""keep_token: a credential changes only from what its administrator saw, and the audit says who did it."""

from __future__ import annotations

import asyncio

import pytest

from sluicegate import keys
from sluicegate.errors import Busy, Conflict, NotFound
from sluicegate.operations import credentials
from sluicegate.store import audit, tokens
from sluicegate.store.connection import Store
from tests.support.contents import changed, contents
from tests.support.tokens import operator_token, worker_token


async def test_creating_a_token_keeps_a_hash_and_an_audit_entry(store: Store) -> None:
    """Q-2, Q-11: the raw token is nowhere in the store."""
    before = await contents(store)
    issued = await worker_token(store, allowed_repositories=["Acme/A"], capabilities=["git"])
    after = await contents(store)
    assert changed(before, after) == {"tokens", "audit"}
    assert issued.token[38:] not in str(after)
    assert issued.worker_token.allowed_repositories == ["github.com/acme/a"]
    (entry,), _ = await audit.page(store)
    assert (entry.control, entry.action, entry.actor_user_id, entry.target) == (
        "worker_token", "create", "ann", issued.worker_token.id,
    )  # fmt: skip


async def test_revoking_twice_is_once(store: Store) -> None:
    """70-16: the second time nothing is written."""
    issued = await worker_token(store)
    first = await credentials.revoke(store, "worker", issued.worker_token.id, actor="bob")
    assert first.revoked_at_ms is not None
    before = await contents(store)
    assert await credentials.revoke(store, "worker", issued.worker_token.id, actor="eve") == first
    assert await contents(store) == before


async def test_rotating_keeps_the_old_secret_for_a_while_and_no_older_one(store: Store) -> None:
    """Q-11."""
    issued = await worker_token(store)
    second, _ = await credentials.rotate(store, "worker", issued.worker_token.id, actor="bob")
    third, record = await credentials.rotate(store, "worker", issued.worker_token.id, actor="bob")
    now = await store.now_ms()
    secrets = [text[38:] for text in (issued.token, second, third)]
    assert [record.proved_by(each, now) for each in secrets] == [False, True, True]
    grace_ms = store.settings.token_rotation_grace_seconds * 1000
    assert [record.proved_by(each, now + int(grace_ms) + 1000) for each in secrets] == [False, False, True]
    entries, _ = await audit.page(store)
    assert [entry.action for entry in entries] == ["rotate", "rotate", "create"]


async def test_a_revoked_token_is_not_rotated_back_to_life(store: Store) -> None:
    """Q-2, Q-11."""
    issued = await worker_token(store)
    await credentials.revoke(store, "worker", issued.worker_token.id, actor="bob")
    before = await contents(store)
    with pytest.raises(Conflict, match="revoked") as caught:
        await credentials.rotate(store, "worker", issued.worker_token.id, actor="bob")
    assert caught.value.code == "token_state_conflict"
    assert await contents(store) == before


async def test_of_a_rotation_and_a_revocation_at_once_the_revocation_stays(store: Store) -> None:
    """Q-2: each is made on what is stored at that moment, never on what was read before the other."""
    for _ in range(10):
        token_id = (await worker_token(store)).worker_token.id
        await asyncio.gather(
            credentials.rotate(store, "worker", token_id, actor="bob"),
            credentials.revoke(store, "worker", token_id, actor="bob"),
            return_exceptions=True,
        )
        ((record, _),) = await tokens.find(store, [token_id])
        assert record is not None and record.revoked_at_ms is not None


async def test_a_record_that_changed_meanwhile_is_not_overwritten(store: Store) -> None:
    issued = await worker_token(store)
    ((record, _),) = await tokens.find(store, [issued.worker_token.id])
    assert record is not None
    before = await contents(store)
    reply = await store.run(
        "keep_token", id=record.id, before="{}", record="{}", control="worker_token", action="revoke",
        actor="eve", most=10,
    )  # fmt: skip
    assert reply == ["CHANGED"]
    assert await contents(store) == before


async def test_one_kind_is_not_the_other(store: Store) -> None:
    """Q-11: an operator's token is not to be found among the workers' ones, nor ended as one."""
    made = await operator_token(store, "viewer")
    before = await contents(store)
    with pytest.raises(NotFound) as caught:
        await credentials.revoke(store, "worker", made.operator_token.id, actor="eve")
    assert caught.value.code == "worker_token_not_found"
    assert await contents(store) == before
    assert await credentials.worker_tokens(store) == []
    assert [each.role for each in await credentials.operator_tokens(store)] == ["viewer"]


async def test_no_more_than_so_many_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9."""
    monkeypatch.setattr(tokens, "MOST", 1)
    await worker_token(store)
    before = await contents(store)
    with pytest.raises(Busy):
        await worker_token(store)
    assert await contents(store) == before
    assert len(await store.command("HGETALL", keys.TOKENS)) == 2
