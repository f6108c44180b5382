"""The overview in a browser: what is wrong, and the flow, as they change; a flood; no JavaScript."""

from __future__ import annotations

import msgspec
import pytest
from playwright.async_api import Browser, expect

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store import endings, retention
from sluicegate.store.connection import Store
from tests.browser.test_overview import count, marked, opened, still_marked
from tests.support import given
from tests.support.job_builder import JobBuilder

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]
FLOOD = 2_000
COUNT_CHANGES = """() => {
  window.changes = 0;
  window.began = performance.now();
  new MutationObserver((records) => {
    const added = records.flatMap((record) => [...record.addedNodes]);
    window.changes += added.filter((node) => node.id === "counts").length;
  }).observe(document.querySelector("main"), { childList: true });
}"""


async def test_what_is_wrong_comes_and_goes_on_the_open_page(
    browser: Browser, dashboard: str, store: Store
) -> None:
    """Said aloud too; what stands below does not move; what was unfolded stays so."""
    async with opened(browser, dashboard, viewport={"width": 1280, "height": 900}) as page:
        troubles = page.locator("#troubles")
        await expect(troubles.locator("h2")).to_have_text("Nothing is wrong")
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        for chart in await page.locator("#flow svg[role=img]").all():
            await expect(chart).to_be_visible()
        await expect(page.locator("#flow svg[role=img]")).to_have_count(6)
        await page.locator("#flow summary").click()
        before = await page.locator("#counts").bounding_box()

        dead = await given.running(store, "backup", max_attempts=1)
        await given.end(store, dead, endings.Fail(dead.id, given.token(dead), "full", retryable=True))
        await expect(troubles.locator("h2")).to_have_text("1 thing needs a look")
        await expect(troubles.locator("li")).to_contain_text(["Dead letters"])
        await expect(page.get_by_role("status")).to_have_text("1 thing needs a look")
        assert await page.locator("#counts").bounding_box() == before

        await expect(page.locator("#flow tbody th")).to_have_text(["backup"])
        await expect(page.locator("#flow tbody th")).to_be_visible()
        await expect(page.locator("#flow path.c1").first).to_be_attached()

        await retention.remove(store, "dead_letter", [dead.id])
        await expect(troubles.locator("h2")).to_have_text("Nothing is wrong")
        assert await page.locator("#counts").bounding_box() == before
        assert await still_marked(page)


async def test_a_line_leads_to_where_one_acts(browser: Browser, dashboard: str, store: Store) -> None:
    """From the overview to the job that is stuck, and to its cancel, in three clicks."""
    job = await given.running(store, "task", worker_id="gone-7")
    async with opened(browser, dashboard) as page:
        line = page.locator("#troubles li", has_text="gone-7 is not heard of")
        await line.get_by_role("link").click()
        await expect(page.locator("#job .chip")).to_have_text("Running")
        await page.locator(f'a[href="/jobs/{job.id}/actions/cancel"]').click()
        await page.locator(
            "main form button.main, main form button[type=submit], main form button"
        ).first.click()
        await expect(page.locator("#job")).to_contain_text("ancel")


async def test_a_flood_of_events_changes_a_page_twice_a_second(
    browser: Browser, dashboard: str, store: Store
) -> None:
    make = JobBuilder(store)
    async with opened(browser, dashboard) as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await page.evaluate(COUNT_CHANGES)
        for _ in range(FLOOD // 50):
            await make.enqueued(*(make.submission("noop") for _ in range(50)))
        await expect(count(page, "queued")).to_have_text(f"{FLOOD:,}".replace(",", "\u202f"))
        changes, seconds = await page.evaluate("[changes, (performance.now() - began) / 1000]")
        assert 0 < changes <= 2 * seconds + 4
        await page.locator("#flow summary").click()
        await expect(page.locator("#flow-numbers")).to_have_attribute("open", "")


async def test_without_javascript_the_page_loads_itself_anew(
    browser: Browser, settings: Settings, store: Store
) -> None:
    """As often as a setting says; charts and what is wrong are there too."""
    control = ControlSettings(**msgspec.structs.asdict(settings), page_refresh_seconds=0.9)
    async with (
        serving(build(control, store), "127.0.0.1", 0) as (host, port),
        opened(browser, f"http://{host}:{port}/", java_script_enabled=False) as page,
    ):
        await expect(count(page, "queued")).to_have_text("0")
        await expect(page.locator("#troubles h2")).to_have_text("Nothing is wrong")
        await given.queued(store)
        await expect(count(page, "queued")).to_have_text("1")
        await expect(page.locator("#flow svg[role=img]")).to_have_count(6)
