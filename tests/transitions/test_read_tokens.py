"""read_tokens: records and the store's time in one step; nothing is written."""

from __future__ import annotations

from sluicegate.store import tokens
from sluicegate.store.connection import Store
from tests.support.contents import contents
from tests.support.tokens import worker_token


async def test_each_in_its_place(store: Store) -> None:
    """Q-2: an id that nobody has is None, and costs no error."""
    one, other = await worker_token(store, "a"), await worker_token(store, "b")
    before, now = await contents(store), await store.now_ms()
    found = await tokens.find(store, [other.worker_token.id, "f" * 32, one.worker_token.id])
    assert [record and record.worker_id for record, _ in found] == ["b", None, "a"]
    assert all(now <= at for _, at in found)
    assert await contents(store) == before
