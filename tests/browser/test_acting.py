"""An operator acts in a browser: from the overview to the end of a stuck task, and through a drain."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from sluicegate.store import cancellation, jobs, pause
from sluicegate.store.connection import Store
from tests.browser.test_overview import marked, opened, still_marked
from tests.support import given

pytestmark = [pytest.mark.needs("chromium")]


@pytest.mark.parametrize(
    "script", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["no script", "script"]
)
async def test_a_stuck_task_is_cancelled_in_four_clicks(
    browser: Browser, dashboard: str, store: Store, script: bool
) -> None:
    """C-9: the counts lead to the list, the list to the job, the job to the form; at most five clicks."""
    job = await given.stale(store, "task")
    async with opened(browser, dashboard, java_script_enabled=script) as page:
        await page.get_by_role("link", name="Stale: show them").click()
        await page.locator(f"#job-{job.id}").click()
        await page.locator("#do-cancel").click()
        await page.get_by_label("Reason").fill("it hangs")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#job")).to_contain_text("Cancelled")
    ended = await jobs.get(store, job.id)
    assert (ended.status, ended.cancel_reason) == ("cancelled", "it hangs")


async def test_the_drain_is_followed(browser: Browser, dashboard: str, store: Store) -> None:
    """P-8: the open page says who holds it up, and that it is drained, while somebody types into its form."""
    job = await given.running(store, worker_id="worker-7")
    async with opened(browser, f"{dashboard}pauses") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        reason = page.get_by_label("Reason").first
        await reason.fill("half a sen")
        await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="alex")
        await expect(page.locator("#strip")).to_contain_text("Paused (Drain)")
        await expect(page.locator("#drain")).to_contain_text("worker-7")
        await given.complete(store, job)
        await expect(page.locator("#drain")).to_contain_text("Drained.")
        assert await reason.input_value() == "half a sen"
        assert await still_marked(page)


async def test_a_request_is_shown_until_it_is_done(browser: Browser, dashboard: str, store: Store) -> None:
    """C-9: on the open page, where a list of steps stays open meanwhile."""
    steps = [{"id": "build"}, {"id": "test"}]
    task = {"instructions": "Improve it", "steps": steps}
    payload = {"repository": "acme/a", "targetRuntime": "shell", "task": task}
    job = await given.running(store, "task", payload=payload)
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await page.locator("#recovery summary").click()
        await pause.change(store, action="pause", mode="drain", reason="Upgrade", actor="alex")
        await expect(page.locator("#strip")).to_contain_text("Upgrade")
        await expect(page.get_by_label("Run again: step test")).to_be_visible()
        await cancellation.cancel(store, job.id, actor="ann", reason="it loops")
        await expect(page.locator("#actions")).to_contain_text("Cancel requested")
        await expect(page.locator("#actions")).to_contain_text("ann: it loops")
        await cancellation.acknowledge(store, job.id, worker_id="worker-1", lease_token=given.token(job))
        await expect(page.locator("#do-retry")).to_be_visible()
        await expect(page.locator("#actions")).not_to_contain_text("Cancel requested")
