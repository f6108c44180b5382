"""The list with ten thousand jobs: it opens, is filtered, turned and followed as with ten."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import Browser, expect

from sluicegate.store.connection import Store
from tests.browser.test_overview import opened
from tests.support import given
from tests.support.job_builder import JobBuilder

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

MANY = 10_000
SECONDS = 5.0
"""Ten times what a page may take until it can be used."""


async def test_ten_thousand_jobs(browser: Browser, dashboard: str, store: Store) -> None:
    make = JobBuilder(store)
    for _ in range(MANY // 1000):
        await make.enqueued(*(make.submission("import.orders") for _ in range(1000)))
    (rare,) = await make.enqueued(make.submission("report.weekly"))
    await make.enqueued(*(make.submission("import.orders") for _ in range(1000)))
    async with opened(browser, f"{dashboard}jobs?status=queued") as page:
        started = time.perf_counter()
        await page.goto(f"{dashboard}jobs?status=queued&type=report.weekly")
        await expect(page.locator("#live")).to_have_text("Live")
        await page.keyboard.press("j")
        await expect(page.locator(f"#job-{rare}")).to_be_focused()
        assert time.perf_counter() - started < SECONDS
        await page.goto(f"{dashboard}jobs?type=import.orders")
        await expect(page.locator("tbody tr")).to_have_count(50)
        await page.get_by_role("link", name="Older").click()
        await expect(page.locator("tbody tr")).to_have_count(50)
        await expect(page.get_by_role("link", name="Back to the newest")).to_be_visible()
        await page.goto(f"{dashboard}jobs?status=queued&limit=200")
        await expect(page.locator("#live")).to_have_text("Live")
        await given.queued(store, "import.orders")
        await expect(page.locator("#newer")).to_have_text("1 more fits now: show")
