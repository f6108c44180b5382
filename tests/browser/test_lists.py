"""The list of jobs in a browser: by keyboard, ticked, and up to date without a move under the pointer."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from sluicegate.store import endings, jobs
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from tests.browser.test_overview import marked, opened, still_marked
from tests.support import given

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


async def focused(page: Page) -> str:
    return await page.evaluate("document.activeElement.id")


async def test_the_list_by_keyboard(browser: Browser, dashboard: str, store: Store) -> None:
    """60-4: moved through, ticked and opened without a mouse; never while somebody types."""
    third, second, first = [await given.queued(store) for _ in range(3)]
    async with opened(browser, f"{dashboard}jobs") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        for key, place in (("j", first), ("j", second), ("ArrowDown", third), ("j", third), ("k", second)):
            await page.keyboard.press(key)
            assert await focused(page) == f"job-{place}"
        await page.keyboard.press("x")
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Space")
        await expect(page.locator("#ticked")).to_have_text(" (2)")
        await page.keyboard.press("/")
        await page.keyboard.type("jx?/")
        field = page.get_by_label("Id", exact=True)
        await expect(field).to_be_focused()
        assert await field.input_value() == "jx?/"
        await expect(page.locator("#ticked")).to_have_text(" (2)")
        await page.locator(f"#job-{third}").focus()
        await page.keyboard.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        await page.keyboard.press("j")
        await page.keyboard.press("Escape")
        await expect(page.locator("#keys")).to_be_hidden()
        await page.locator(f"#job-{third}").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#job .id")).to_have_text(third)


async def test_what_is_ticked_stays_ticked(browser: Browser, dashboard: str, store: Store) -> None:
    """Rows change where they stand, a box stays ticked, the focus where it is; others are counted."""
    ids = [await given.queued(store) for _ in range(3)]
    async with opened(browser, f"{dashboard}jobs?status=queued") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        cancel = page.get_by_role("button", name="Cancel…")
        await expect(cancel).to_be_disabled()
        await page.get_by_label("all on this page").check()
        await expect(page.locator("#ticked")).to_have_text(" (3)")
        await page.locator(f'input[value="{ids[2]}"]').uncheck()
        await page.locator(f"#job-{ids[0]}").focus()
        before = await page.locator(f"#row-{ids[0]}").bounding_box()
        await given.claimed(store)
        await expect(page.locator(f"#row-{ids[0]} .chip")).to_have_text("Running")
        await given.queued(store)
        await expect(page.locator("#newer")).to_have_text("1 more fits now: show")
        assert await page.locator(f"#row-{ids[0]}").bounding_box() == before
        assert await focused(page) == f"job-{ids[0]}"
        await expect(page.locator("#ticked")).to_have_text(" (2)")
        assert await still_marked(page)
        await cancel.click()
        await expect(page.locator(".will")).to_contain_text("2 of 2 chosen jobs can be changed so")
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("button", name="Cancel 2").click()
        await expect(page.locator(".done")).to_contain_text("2 changed of 2")
    assert (await jobs.get(store, ids[1])).status == "cancelled"
    assert (await jobs.get(store, ids[2])).status == "queued"


async def test_all_that_fit_are_looked_at_first(browser: Browser, dashboard: str, store: Store) -> None:
    """With what is among them; and back, with the list as it was left."""
    for kind in ("nightly", "nightly", "report"):
        await given.queued(store, kind)
    async with opened(browser, f"{dashboard}jobs?type=nightly&limit=1") as page:
        await page.get_by_label("all that fit the filter").check()
        await expect(page.locator("#ticked")).to_have_text(", and all others that fit")
        await page.get_by_role("button", name="Cancel…").click()
        await expect(page.locator(".will")).to_contain_text(
            "2 jobs can be changed so: all that fit type = nightly"
        )
        await expect(page.locator("tbody tr")).to_have_count(2)
        await page.go_back()
        await expect(page.get_by_role("button", name="Cancel…")).to_be_enabled()


@pytest.mark.slow
async def test_two_operators_at_once(browser: Browser, dashboard: str, store: Store) -> None:
    """C-9: whoever comes second is told that somebody was first, and nothing happens twice."""
    job = await given.running(store)
    await given.end(store, job, endings.Fail(job.id, given.token(job), "broken", retryable=False))
    address = f"{dashboard}jobs/{job.id}/actions"
    async with (
        opened(browser, f"{address}/retry") as ann,
        opened(browser, f"{address}/retry", refused=409) as bob,
    ):
        await ann.get_by_role("button", name="Retry").click()
        await expect(ann.locator("#job .chip")).to_have_text("Queued")
        await ann.locator("#do-cancel").click()
        await bob.get_by_role("button", name="Retry").click()
        await expect(bob.get_by_role("alert")).to_contain_text("Nothing was done: it was retried before")
        await bob.get_by_role("link", name="The job that runs again").click()
        await bob.locator("#do-cancel").click()
        await bob.get_by_role("button", name="Cancel").click()
        await expect(bob.locator("#job .chip")).to_have_text("Cancelled")
        await ann.get_by_role("button", name="Cancel").click()
        await expect(ann.locator("#job .chip")).to_have_text("Cancelled")
    found, _ = await jobs.listing(store, JobFilter())
    assert sorted(each.status for each in found) == ["cancelled", "failed"]


@pytest.mark.slow
async def test_dead_letters_one_first_then_the_rest(browser: Browser, dashboard: str, store: Store) -> None:
    """Q-8: by their cause, each step after a look at it; the page leads from one to the next."""
    for at in range(3):
        job = await given.running(store, max_attempts=1)
        ending = endings.Fail(job.id, given.token(job), f"cannot open /srv/{at}/lock", retryable=True)
        await given.end(store, job, ending)
    async with opened(browser, f"{dashboard}dead-letters") as page:
        await expect(page.locator("#causes-title")).to_have_text("1 cause of 3 dead letters")
        await page.get_by_role("button", name="Redrive one first…").click()
        await page.get_by_role("button", name="Redrive this one").click()
        await expect(page.locator(".done")).to_contain_text("1 changed of 1")
        await page.get_by_role("button", name="Redrive the other 2…").click()
        await page.get_by_role("button", name="Redrive 2").click()
        await expect(page.locator(".done")).to_contain_text("2 changed of 2")
        await page.get_by_role("link", name="Back").click()
        await expect(page.locator(".empty")).to_contain_text("A job comes here when its last attempt fails")
    found, _ = await jobs.listing(store, JobFilter(status="queued"))
    assert len(found) == 3
