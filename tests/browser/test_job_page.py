"""The page of a job in a browser: it follows its job, and shows of it what somebody wants to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from services.control.app import build
from sluicegate.artifacts import open_store
from sluicegate.http import serving
from sluicegate.model import Job, NewEvent
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store import events
from sluicegate.store.connection import Store
from tests.browser.test_overview import marked, opened, still_marked
from tests.services.control.test_artifact_page import kept
from tests.support import given

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]
AT_END = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 40"
MOST_PARTS = 2000
"""As static/output.js has it."""
PATCH = (
    """\
diff --git a/cart.py b/cart.py
--- a/cart.py
+++ b/cart.py
@@ -1,2 +1,2 @@
 keep
-old <script>alert(1)</script>
+new """
    + "long " * 100
)


async def says_much(store: Store, job: Job, name: str, number: int) -> None:
    """Lines `name 0`, `name 1` ..., each a piece of output of its own."""
    for start in range(0, number, 100):
        lines = range(start, min(start + 100, number))
        batch = [
            NewEvent(message="output", payload={"kind": "log", "stream": "pty", "text": f"{name} {n}\n"})
            for n in lines
        ]
        await events.append(store, str(job.claimed_by), job.id, given.token(job), batch)


async def is_at_end(page: Page) -> bool:
    return await page.locator("#output").evaluate(AT_END)


async def test_a_job_page_follows_its_job(browser: Browser, dashboard: str, store: Store) -> None:
    """Output and events are appended once each; the fields change; the stream ends with the job."""
    job = await given.running(store)
    await given.says(store, job, "first\n")
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        output = page.locator("#output")
        await given.says(store, job, "<b>second</b>\n")
        await expect(output).to_contain_text("<b>second</b>\n")
        await given.complete(store, job, result="All is well")
        await expect(page.locator("#job .chip")).to_have_text("Succeeded")
        await expect(page.locator("#state")).to_contain_text("All is well")
        await expect(page.locator("#live")).to_have_text("Ended")
        await expect(output.locator(".said code")).to_have_text(
            ["job.enqueued", "job.claimed", "job.succeeded"]
        )
        await expect(output.locator("> span")).to_have_text(["first\n", "<b>second</b>\n"])
        await expect(page.locator("#attempts .attempt-card > .line")).to_contain_text("Succeeded")
        assert await still_marked(page)


async def test_who_scrolls_up_is_not_pulled_down(browser: Browser, dashboard: str, store: Store) -> None:
    """The end is followed until somebody reads elsewhere, and again when they ask for it."""
    job = await given.running(store)
    await says_much(store, job, "old", 100)
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        output, follow = page.locator("#output"), page.get_by_role("button", name="Follow")
        assert await is_at_end(page)
        await says_much(store, job, "more", 5)
        await expect(output).to_contain_text("more 4")
        assert await is_at_end(page)
        await expect(follow).to_be_hidden()
        await output.evaluate("box => { box.scrollTop = 100; }")
        await expect(follow).to_be_visible()
        await says_much(store, job, "new", 5)
        await expect(follow).to_have_text("Follow (5 new)")
        assert await output.evaluate("box => box.scrollTop") == 100
        await follow.click()
        await expect(follow).to_be_hidden()
        assert await is_at_end(page)
        await expect(output).to_be_focused()


async def test_filters_and_search_live(browser: Browser, dashboard: str, store: Store) -> None:
    """They change what is shown, and what comes, without leaving the page; the address keeps them."""
    job = await given.running(store)
    await given.says(store, job, "hay\nfirst needle\n")
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        output = page.locator("#output")
        await page.get_by_role("link", name="Logs").click()
        await expect(output.locator(".said")).to_have_count(0)
        await expect(page.get_by_role("link", name="Logs")).to_have_attribute("aria-current", "true")
        await expect(page.get_by_role("link", name="Logs")).to_be_focused()
        await page.get_by_role("searchbox").fill("NEEDLE")
        await expect(output.locator("mark")).to_have_text(["needle"])
        await expect(output).not_to_contain_text("hay")
        await given.says(store, job, "second nee")
        await given.says(store, job, "dle\nhay\n")
        await expect(output.locator(".found")).to_contain_text(["first needle", "second needle"])
        await expect(output).not_to_contain_text("hay")
        address = page.url
        assert address.endswith("?show=logs&q=NEEDLE")
        await page.get_by_role("link", name="All").click()
        await expect(page.get_by_role("link", name="All")).to_have_attribute("aria-current", "true")
        await page.go_back()
        await expect(page.get_by_role("link", name="Logs")).to_have_attribute("aria-current", "true")
        assert page.url == address
        assert await still_marked(page)
        await expect(page.locator("#live")).to_have_text("Live")
    async with opened(browser, address, java_script_enabled=False) as page:
        await expect(page.locator("#output .found")).to_have_count(2)
        await page.get_by_role("searchbox").fill("hay")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("#output mark")).to_have_count(2)


async def test_a_flood_does_not_drown_the_page(browser: Browser, dashboard: str, store: Store) -> None:
    """However much comes, the page holds a bounded part of it, the latest, and stays one that can be used."""
    job = await given.running(store)
    async with opened(browser, f"{dashboard}jobs/{job.id}") as page:
        await expect(page.locator("#live")).to_have_text("Live")
        await page.evaluate(
            """() => {
                window.most = 0;
                window.changes = 0;
                const box = document.getElementById("output");
                new MutationObserver(() => {
                    window.changes += 1;
                    window.most = Math.max(window.most, box.childNodes.length);
                }).observe(box, { childList: true });
            }"""
        )
        await says_much(store, job, "flood", 6000)
        await expect(page.locator("#output")).to_contain_text("flood 5999")
        assert await is_at_end(page)
        assert await page.evaluate("window.most") <= MOST_PARTS
        assert await page.evaluate("window.changes") < 200
        await page.get_by_role("link", name="Stages").click()
        await expect(page.locator("#output .said")).to_have_count(2)


@pytest.mark.parametrize("script", [True, False])
async def test_a_diff_on_a_phone(
    browser: Browser, settings: Settings, store: Store, tmp_path: Path, script: bool
) -> None:
    """From the page of the job to the diff; each line has its sign and its colour, and long ones scroll."""
    fields: dict[str, Any] = {**msgspec.structs.asdict(settings), "artifacts_url": f"file:{tmp_path}"}
    control = ControlSettings(**fields)
    job = await given.running(store)
    await kept(store, open_store(control), job, "patches/a.patch", PATCH.encode(), "text/x-diff")
    async with (
        serving(build(control, store), "127.0.0.1", 0) as (host, port),
        opened(
            browser, f"http://{host}:{port}/jobs/{job.id}", java_script_enabled=script,
            viewport={"width": 390, "height": 844},
        ) as page,
    ):  # fmt: skip
        await page.get_by_role("link", name="patches/a.patch", exact=True).click()
        rows = page.locator(".diff tbody tr")
        await expect(rows.locator(".sign")).to_have_text(["", "", "−", "+"])
        await expect(rows.nth(2)).to_contain_text("old <script>alert(1)</script>")
        same, removed, added = [
            await rows.nth(n).evaluate("row => getComputedStyle(row).backgroundColor") for n in (1, 2, 3)
        ]
        assert len({same, removed, added}) == 3
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await expect(page.get_by_role("heading", name="cart.py")).to_be_visible()
        async with page.expect_download() as saved:
            await page.get_by_role("link", name="Download").click()
        assert (await (await saved.value).path()).read_text() == PATCH
