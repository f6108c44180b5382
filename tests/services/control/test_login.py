"""Logging in to the dashboard: a signed cookie, its roles, its CSRF token, its end (spec 00-6)."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession
from yarl import URL

from sluicegate.auth.sessions import COOKIE, Sessions
from sluicegate.operations import credentials
from sluicegate.store.connection import Store
from tests.support.tokens import BOOTSTRAP, bearer, operator_token, worker_token

PAUSE = "/api/system/worker-pause"
DRAIN = {"action": "pause", "mode": "drain", "reason": "upgrade"}


async def log_in(closed: ClientSession, token: str, **fields: str) -> tuple[int, str, str]:
    """Status, where it leads, and the page."""
    form = {"token": token, **fields}
    async with closed.post("/login", data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


async def csrf(closed: ClientSession) -> str:
    async with closed.get("/") as answer:
        found = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
    assert found
    return found[1]


async def test_a_page_leads_to_the_login_and_back(closed: ClientSession, store: Store) -> None:
    """Pages need a session; it is HttpOnly, SameSite, and shows who it is."""
    async with closed.get("/jobs/x?a=1", allow_redirects=False) as answer:
        where = URL(answer.headers["Location"])
        assert (answer.status, where.path, where.query["after"]) == (303, "/login", "/jobs/x?a=1")
    async with closed.get("/login", params={"after": "/jobs/x?a=1"}) as answer:
        assert answer.status == 200
        assert 'value="/jobs/x?a=1"' in await answer.text()
    token = (await operator_token(store, "viewer", "ann")).token
    async with closed.post("/login", data={"token": f" {token} "}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert token not in cookie
    async with closed.get("/", allow_redirects=False) as answer:
        page = await answer.text()
        assert (answer.status, "ann (viewer)" in page) == (200, True)


async def test_other_credentials_do_not_log_in(closed: ClientSession, store: Store) -> None:
    """The page says why, and gives no cookie."""
    for token, status in (
        ("nonsense", 401),
        ((await worker_token(store)).token, 403),
        ((await operator_token(store, "producer")).token, 403),
    ):
        seen, _, page = await log_in(closed, token)
        assert seen == status
        assert 'role="alert"' in page
        assert token not in page
    assert not list(closed.cookie_jar)


@pytest.mark.parametrize(
    "after", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:x", "jobs", "http://["]
)
async def test_a_login_leads_nowhere_else(closed: ClientSession, after: str) -> None:
    """Spec 00-6: nor does an address that is none break it."""
    status, where, _ = await log_in(closed, BOOTSTRAP, after=after)
    assert (status, where) == (303, "/")


async def test_a_session_changes_things_with_its_csrf_token_only(closed: ClientSession, store: Store) -> None:
    """Spec 00-6, 70-18: the cookie alone, and another site's page, change nothing."""
    await log_in(closed, (await operator_token(store, "operator", "bob")).token)
    token = await csrf(closed)
    for headers in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": token, "Origin": "https://evil.test"}):
        async with closed.post(PAUSE, json=DRAIN, headers=headers) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "csrf_failed")
    async with closed.post(PAUSE, json=DRAIN, headers={"X-CSRF-Token": token}) as answer:
        assert (answer.status, (await answer.json())["system"]["requestedByUserId"]) == (200, "bob")


async def test_roles_hold_in_a_session(closed: ClientSession, store: Store) -> None:
    """A viewer sees."""
    await log_in(closed, (await operator_token(store, "viewer")).token)
    async with closed.post(PAUSE, json=DRAIN, headers={"X-CSRF-Token": await csrf(closed)}) as answer:
        assert (await answer.json(content_type=None))["code"] == "operator_not_authorized"


async def test_a_revoked_token_ends_its_sessions(closed: ClientSession, store: Store) -> None:
    """Q-2."""
    issued = await operator_token(store, "admin")
    await log_in(closed, issued.token)
    async with closed.get(PAUSE) as answer:
        assert answer.status == 200
    await credentials.revoke(store, "operator", issued.operator_token.id, actor="ann")
    async with closed.get(PAUSE) as answer:
        assert answer.status == 401
    async with closed.get("/", allow_redirects=False) as answer:
        assert answer.status == 303


async def test_logging_out(closed: ClientSession) -> None:
    """A form of another page does not log anybody out."""
    await log_in(closed, BOOTSTRAP)
    token = await csrf(closed)
    async with closed.post("/logout", data={"csrf": "x"}, allow_redirects=False) as answer:
        assert answer.status == 403
    async with closed.post("/logout", data={"csrf": token}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
    async with closed.get(PAUSE) as answer:
        assert answer.status == 401


async def test_a_cookie_that_is_not_ours_is_nobody(closed: ClientSession) -> None:
    forged, _ = Sessions("j" * 40).begin("eve", "admin")
    for text in (forged, "x", ""):
        async with closed.get(PAUSE, headers={"Cookie": f"{COOKIE}={text}"}) as answer:
            assert answer.status == 401
    ours, _ = Sessions("k" * 40).begin("ann", "viewer")
    async with closed.get(PAUSE, headers={"Cookie": f"{COOKIE}={ours}"}) as answer:
        assert answer.status == 200


async def test_a_credential_of_its_own_needs_no_session(closed: ClientSession, store: Store) -> None:
    """A proxy in front passes a JWT or token on; nothing that a browser adds by itself."""
    token = (await operator_token(store, "operator")).token
    headers = {**bearer(token), "Origin": "https://dashboards.example"}
    async with closed.post(PAUSE, json=DRAIN, headers=headers) as answer:
        assert answer.status == 200


async def test_without_auth_there_is_nothing_to_log_in_to(control: ClientSession) -> None:
    async with control.get("/login", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
