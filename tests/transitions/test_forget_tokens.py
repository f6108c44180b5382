"""forget_tokens: what nobody can use for 30 days is gone; what changed meanwhile stays."""

from __future__ import annotations

import pytest

from sluicegate.operations import credentials
from sluicegate.store import tokens
from sluicegate.store.connection import Store
from sluicegate.times import to_rfc3339
from tests.support.contents import contents
from tests.support.job_builder import past
from tests.support.tokens import worker_token


async def test_dead_tokens_go_and_live_ones_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9, Q-11."""
    now = await store.now_ms()
    living = await worker_token(store, "living")
    later = await worker_token(store, "later", expires_at=to_rfc3339(now + 60_000))
    revoked = await worker_token(store, "revoked")
    await credentials.revoke(store, "worker", revoked.worker_token.id, actor="bob")
    assert await tokens.forget_dead(store) == 0
    monkeypatch.setattr(tokens, "KEPT_MS", 0)
    await past(store, await store.now_ms())
    assert await tokens.forget_dead(store) == 1
    left = {each.id for each in await credentials.worker_tokens(store)}
    assert left == {living.worker_token.id, later.worker_token.id}


async def test_a_record_that_changed_is_left_alone(store: Store) -> None:
    issued = await worker_token(store)
    before = await contents(store)
    assert await store.run("forget_tokens", [(issued.worker_token.id, "{}")]) == [0]
    assert await contents(store) == before
