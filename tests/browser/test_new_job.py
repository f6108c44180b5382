"""The form of a new job in a browser: checked as it is filled in, steps arranged, copied as curl (60-4)."""

from __future__ import annotations

import json
import subprocess

import pytest
from playwright.async_api import Browser, expect

from sluicegate.store import jobs
from sluicegate.store.connection import Store
from sluicegate.store.jobs import JobFilter
from tests.browser.test_overview import marked, opened, still_marked

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


async def test_a_task_is_made(browser: Browser, dashboard: str, store: Store) -> None:
    """Errors come and go at fields that somebody has been to; the page is never loaded anew."""
    rights = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with opened(browser, f"{dashboard}jobs/new", **rights) as page:
        await marked(page)
        verdict = page.locator("#verdict")
        await page.get_by_label("Priority").fill("high")
        await expect(page.locator(".wrong")).to_have_text(["must be a whole number"])
        await expect(page.get_by_label("Priority")).to_have_attribute("aria-invalid", "true")
        await page.get_by_label("Priority").fill("7")
        await expect(page.locator(".wrong")).to_have_count(0)
        await expect(verdict).to_contain_text("Not yet")
        await page.get_by_label("Repository").fill("acme/a")
        await page.get_by_label("Objective").fill("it's $HOME `x`")
        await expect(verdict).to_have_text("It would be accepted.")

        await page.get_by_label("Instructions").first.fill("first")
        await page.get_by_role("button", name="Add a step").click()
        await expect(page.locator(".step")).to_have_count(2)
        await expect(page.get_by_label("Id").nth(1)).to_be_focused()
        await page.keyboard.type("not an id")
        await expect(page.locator(".step").nth(1).locator(".wrong")).to_have_count(1)
        await page.get_by_label("Id").nth(1).fill("second")
        await expect(verdict).to_have_text("It would be accepted.")
        await page.get_by_role("button", name="Move step 2 up").click()
        await expect(page.get_by_label("Id").first).to_have_value("second")
        assert await still_marked(page)

        await expect(page.locator("#curl")).to_contain_text("second")
        await page.locator("#curl-part .copy").click()
        await expect(page.locator("#curl-part .copy")).to_have_text("Copied")
        line = await page.evaluate("navigator.clipboard.readText()")
        await page.get_by_role("button", name="Enqueue").click()
        await expect(page.locator("#job h1")).to_have_text("task")
    script = f'curl() {{ printf "%s" "${{@: -1}}"; }}\n{line}'
    said = json.loads(subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout)
    (job,), _ = await jobs.listing(store, JobFilter())
    assert said["payload"]["task"]["instructions"] == "it's $HOME `x`"
    assert job.payload["task"]["steps"] == [{"id": "second"}, {"instructions": "first"}]
    assert said["payload"] == job.payload
