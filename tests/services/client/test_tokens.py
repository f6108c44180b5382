"""Tokens of workers through the client, over each transport (Q-11, 70-58)."""

from __future__ import annotations

import pytest

from sluicegate.client import Client
from sluicegate.errors import Conflict, Invalid, NotFound
from sluicegate.store.connection import Store
from tests.services.client.conftest import deployment
from tests.support.tokens import worker_token


async def test_a_token_from_its_creation_to_its_end(client: Client) -> None:
    """Q-11: shown at creation and rotation only; revoked once is revoked."""
    made = await client.tokens.create("w1", types=["task"], repositories=["Acme/A"], capabilities=[])
    token = made.worker_token
    assert (token.allowed_job_types, token.allowed_repositories) == (["task"], ["github.com/acme/a"])
    assert token.capabilities == []
    assert await client.tokens.list() == [token]
    rotated = await client.tokens.rotate(token.id)
    assert rotated.token != made.token
    assert rotated.worker_token.rotated_at is not None
    revoked = await client.tokens.revoke(token.id)
    assert revoked.revoked_at is not None
    assert await client.tokens.revoke(token.id) == revoked
    with pytest.raises(Conflict) as caught:
        await client.tokens.rotate(token.id)
    assert caught.value.code == "token_state_conflict"


async def test_refusals_are_the_same(client: Client) -> None:
    for token_id in ("0" * 32, "../jobs", ""):
        with pytest.raises(NotFound) as missing:
            await client.tokens.revoke(token_id)
        assert missing.value.code == "worker_token_not_found"
    with pytest.raises(Invalid) as wrong:
        await client.tokens.create("")
    assert [each["path"] for each in wrong.value.extra["errors"]] == ["workerId"]


async def test_a_long_list_comes_whole(store: Store) -> None:
    """70-2: over HTTP it comes in pages."""
    ids = [(await worker_token(store, f"w{number}")).worker_token.id for number in range(205)]
    async with deployment(store) as url, Client.from_url(url) as client:
        assert [each.id for each in await client.tokens.list()] == ids[::-1]
