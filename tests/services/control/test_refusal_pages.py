"""What a person sees who may not, or who asks for what is not there; programs get problem documents."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession
from yarl import URL

from sluicegate.store.connection import Store
from tests.support import given
from tests.support.forms import look, post, words
from tests.support.tokens import operator_token

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def viewer(closed: ClientSession, store: Store) -> ClientSession:
    """A browser in which a viewer has logged in."""
    await post(closed, "/login", token=(await operator_token(store, "viewer", "ann")).token)
    closed.headers.update(BROWSER)
    return closed


async def test_a_viewer_at_an_operators_page(viewer: ClientSession, store: Store) -> None:
    """Spec 00-6: told which role it needs, with the way back, whether the page is opened or posted to."""
    job_id = await given.queued(store)
    places = {"/jobs/new": ("operator", "/jobs"), "/tokens": ("admin", "/")}
    places[f"/jobs/{job_id}/actions/cancel"] = ("operator", f"/jobs/{job_id}")
    for address, (role, back) in places.items():
        page = await look(viewer, address, expect=403)
        assert f"This needs the role {role}; the credential has the role viewer." in words(page)
        assert f'href="{back}">{"Overview" if back == "/" else "Back"}</a>' in page
        assert "ann (viewer)" in page and 'class="nav"' in page
    for address in ("/jobs", "/pauses", "/dead-letters"):
        answer = await post(viewer, address, verb="cancel")
        assert answer.status == 403
        assert "This needs the role operator" in answer.words
        assert f'href="{address}">Back</a>' in answer.text


async def test_what_is_not_there_is_a_page_for_people(viewer: ClientSession) -> None:
    for address in ("/nothing", "/jobs/none", "/jobs/x/y/z", "/<b>"):
        page = await look(viewer, address, expect=404)
        assert "There is nothing here" in words(page)
        assert "<b>" not in page
    async with viewer.get("/logout") as answer:
        assert (answer.status, answer.content_type, answer.headers["Allow"]) == (405, "text/html", "POST")


@pytest.mark.parametrize("address", ["/api/nothing", "/api/queue/x", "/static/none.js"])
async def test_programs_get_a_problem_document(viewer: ClientSession, address: str) -> None:
    """Below /api also in a browser; elsewhere whoever does not ask for a page."""
    async with viewer.get(address) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
    for place, status in (("/nothing", 404), ("/tokens", 403)):
        async with viewer.get(place, headers={"Accept": "application/json"}) as answer:
            assert (answer.status, answer.content_type) == (status, "application/problem+json")


async def test_nobody_is_led_to_the_login(closed: ClientSession) -> None:
    """To a page that asks who it is; what has no login says so as a page."""
    async with closed.get("/tokens", headers=BROWSER, allow_redirects=False) as answer:
        where = URL(answer.headers["Location"])
        assert (answer.status, where.path, where.query["after"]) == (303, "/login", "/tokens")
    async with closed.post("/logout", headers=BROWSER, allow_redirects=False) as answer:
        assert (answer.status, answer.content_type) == (401, "text/html")
        assert 'href="/login?after=/logout"' in await answer.text()
