"""Tokens on their page: made, shown once, rotated, revoked, by administrators only (Q-2, Q-11)."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession

from sluicegate.operations import credentials
from sluicegate.store.connection import Store
from tests.support.forms import look, post, send, words
from tests.support.tokens import BOOTSTRAP, bearer, operator_token

NASTY = "<script>alert('x')</script>"


def shown(page: str) -> str:
    found = re.search(r'id="issued">(sg\w+_[^<]+)<', page)
    assert found
    return found[1]


async def works(closed: ClientSession, token: str) -> bool:
    async with closed.get("/api/system/pauses", headers=bearer(token)) as answer:
        return answer.status == 200


async def test_a_token_is_shown_once(closed: ClientSession, store: Store) -> None:
    """It works; rotated, a new one does; revoked, none of them."""
    await post(closed, "/login", token=BOOTSTRAP)
    answer = await send(closed, "/tokens", do="create", kind="operator", userId=NASTY, role="viewer")
    first = shown(answer.text)
    assert answer.status == 200
    assert NASTY not in answer.text
    assert await works(closed, first)
    page = await look(closed, "/tokens")
    assert first not in page
    assert f"{NASTY} viewer In use 0 s ago by" in words(page)
    (made,) = await credentials.operator_tokens(store)
    answer = await send(closed, "/tokens", do="rotate", kind="operator", id=made.id)
    second = shown(answer.text)
    assert second != first
    assert await works(closed, second)
    answer = await send(closed, "/tokens", do="revoke", kind="operator", id=made.id)
    assert (answer.status, answer.where) == (303, "/tokens")
    assert not await works(closed, first) and not await works(closed, second)
    page = await look(closed, "/tokens")
    assert "Revoked" in words(page)
    assert 'value="rotate"' not in page
    assert (await send(closed, "/tokens", do="rotate", kind="operator", id=made.id)).status == 409


async def test_a_workers_token_has_its_policy(control: ClientSession, store: Store) -> None:
    """Blank is any; what is wrong is told at its field, and no token is made."""
    fields = {"do": "create", "kind": "worker"}
    for name, value in {
        "workerId": "\x01", "allowedRepositories": "acme/a, http://", "allowedJobTypes": "Not A Type",
        "expiresAt": "2001-01-01T00:00",
    }.items():  # fmt: skip
        answer = await send(control, "/tokens", **{**fields, "workerId": "w-1", name: value})
        assert answer.status == 422, name
        assert f'id="wrong-{name}"' in answer.text
    assert await credentials.worker_tokens(store) == []
    answer = await send(
        control, "/tokens", **fields, workerId="w-1", allowedRepositories="Acme/A", capabilities="git, gh"
    )
    assert shown(answer.text).startswith("sgwt_")
    (made,) = await credentials.worker_tokens(store)
    assert (made.allowed_repositories, made.capabilities) == (["github.com/acme/a"], ["git", "gh"])
    assert made.allowed_job_types is None
    assert (await send(control, "/tokens", do="none", kind="worker")).status == 404


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_only_an_administrator_sees_tokens(closed: ClientSession, store: Store, role: str) -> None:
    await post(closed, "/login", token=(await operator_token(store, role)).token)
    page = await look(closed, "/pauses")
    assert 'href="/tokens"' not in page
    await look(closed, "/tokens", expect=403)
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    answer = await post(closed, "/tokens", csrf=found[1], do="create", kind="worker", workerId="w-1")
    assert answer.status == 403
    assert await credentials.worker_tokens(store) == []
