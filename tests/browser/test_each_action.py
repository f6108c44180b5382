"""Each thing that an operator may do, done by clicking: of a job, of the pauses, of the tokens."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from sluicegate.operations.run_state import live_control
from sluicegate.store import endings, jobs, pause
from sluicegate.store.connection import Store
from tests.browser.test_overview import opened
from tests.support import given, live

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

TASK = {
    "repository": "acme/a",
    "targetRuntime": "shell",
    "task": {"instructions": "Improve it", "steps": [{"id": "build"}, {"id": "test"}]},
}


async def do(page: Page, name: str, label: str, **filled: str) -> None:
    """Follow the link of the action, fill its form, send it; the page of the job comes back."""
    job = page.url
    await page.locator(f"#do-{name}").click()
    for field, text in filled.items():
        await page.locator(f"[name={field}]").fill(text)
    await page.locator("main").get_by_role("button", name=label, exact=True).click()
    await expect(page).to_have_url(re.compile(re.escape(job.partition("?")[0])))


async def test_a_run_is_controlled(browser: Browser, dashboard: str, store: Store) -> None:
    """C-9, H-10, L-5: pause, resume, stop at once, take over, and the steps again; each is on record."""
    job = await given.running(store, "task", payload=TASK)

    async def wanted() -> tuple[bool, bool, bool]:
        now = live_control(await jobs.get(store, job.id))
        return (now.paused, now.hard, now.takeover) if now else (False, False, False)

    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await do(page, "pause", "Pause", reason="a look")
        assert await wanted() == (True, False, False)
        await do(page, "resume", "Resume", summary="I looked")
        assert await wanted() == (False, False, False)
        await do(page, "stop", "Stop at once")
        assert await wanted() == (True, True, False)
        await do(page, "resume", "Resume")
        await do(page, "takeover", "Take over")
        assert await wanted() == (True, False, True)
        await do(page, "resume", "Resume")
        for link, label in (
            ("Run again", "Run again"),
            ("In rebuilt files", "Run again in rebuilt files"),
            ("Go on from here", "Go on from here"),
        ):
            await page.locator("#recovery summary").click()
            await page.get_by_role("link", name=f"{link}: step build").click()
            await page.locator("main").get_by_role("button", name=label, exact=True).click()
            await expect(page.locator("#actions")).to_contain_text("build")
        history = page.locator("#controls")
        for words in ("I looked", "a look"):
            await expect(history).to_contain_text(words)


async def test_a_session_is_opened_granted_and_ended(browser: Browser, dashboard: str, store: Store) -> None:
    """L-3, L-13: without a script too."""
    job = await given.running(store, "task", payload=TASK)
    async with opened(browser, f"{dashboard}jobs/{job.id}", java_script_enabled=False) as page:
        await do(page, "message", "Send a message", message="look at the tests")
        await expect(page.locator("#controls")).to_contain_text("look at the tests")
        await do(page, "open_session", "Open a terminal")
        await expect(page.locator("#session")).to_contain_text(re.compile("asked|starting", re.IGNORECASE))
        await live.session(store, job.id, given.token(job))
        await page.reload()
        await do(page, "grant", "Ask for the keyboard", ttlMinutes="5")
        await expect(page.locator("#session")).to_contain_text("local-operator, until")
        await do(page, "revoke", "End the session")
        await expect(page.locator("#session")).to_contain_text(re.compile("revoked", re.IGNORECASE))


async def test_a_failed_job_is_run_again(browser: Browser, dashboard: str, store: Store) -> None:
    """Q-7: as a new job, which the page leads to."""
    job = await given.running(store)
    await given.end(store, job, endings.Fail(job.id, given.token(job), "no such file", retryable=False))
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await page.locator("#do-retry").click()
        await page.locator("main").get_by_role("button", name="Retry", exact=True).click()
        await expect(page).not_to_have_url(re.compile(job.id))
        again = await jobs.get(store, page.url.rpartition("/")[2])
    assert (again.retry_of, again.status) == (job.id, "queued")


async def test_workers_are_paused_whole_and_in_part(browser: Browser, dashboard: str, store: Store) -> None:
    """P-8, P-12: each pause by its form, and lifted again."""
    async with opened(browser, f"{dashboard}pauses") as page:
        fleet = page.get_by_role("region", name="Pause all workers")
        await fleet.get_by_label("Reason").fill("new disk")
        await fleet.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("region", name="Resume all workers")).to_be_visible()
        assert (await pause.read(store)).workers_paused
        await page.get_by_role("button", name="Resume", exact=True).click()
        await expect(page.get_by_role("region", name="Pause all workers")).to_be_visible()
        assert not (await pause.read(store)).workers_paused
        form = page.locator("form").filter(has=page.locator("select[name=scope]"))
        await form.locator("[name=value]").fill("report")
        await form.locator("[name=reason]").fill("it costs too much")
        await form.get_by_role("button").click()
        lift = page.get_by_role("button", name="Lift the pause of type report")
        await lift.click()
        await expect(lift).to_have_count(0)


async def test_tokens_are_made_rotated_and_revoked(browser: Browser, dashboard: str) -> None:
    """Q-11: shown once, and not any more after that."""
    async with opened(browser, f"{dashboard}tokens") as page:
        await page.get_by_label("Worker id").fill("worker-9")
        await page.get_by_role("button", name="Make a worker's token").click()
        secret = await page.locator("#issued").inner_text()
        row = page.get_by_role("row").filter(has_text="worker-9").first
        await row.get_by_role("button", name=re.compile("Rotate")).click()
        assert await page.locator("#issued").inner_text() != secret
        await (
            page.get_by_role("row")
            .filter(has_text="worker-9")
            .first.get_by_role("button", name=re.compile("Revoke"))
            .click()
        )
        await expect(page.locator("#issued")).to_have_count(0)
        await expect(page.locator("main")).to_contain_text(re.compile("revoked", re.IGNORECASE))
