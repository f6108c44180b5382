"""The overview in a browser: it reads without JavaScript and lives with it, like the page of a job."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from services.control.app import build
from sluicegate.http import serving
from sluicegate.settings import ControlSettings, Settings
from sluicegate.store import narrow_pauses, pause
from sluicegate.store.connection import Store
from tests.support import given

pytestmark = [pytest.mark.needs("chromium")]
PAUSED: dict[str, Any] = {"action": "pause", "mode": "quiesce", "reason": "repair", "actor": "alex"}


@asynccontextmanager
async def opened(browser: Browser, url: str, *, refused: int = 0, **options: Any) -> AsyncIterator[Page]:
    """A page that, at the end, has logged nothing and asked for nothing that failed.

    refused: a status that is expected to come.
    """
    context = await browser.new_context(**options)
    page = await context.new_page()
    troubles: list[str] = []
    known = f"error: Failed to load resource: the server responded with a status of {refused} "

    def told(text: str) -> None:
        if not text.startswith(known):
            troubles.append(text)

    page.on("console", lambda message: told(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on(
        "response",
        lambda answer: (
            troubles.append(answer.url) if answer.status >= 400 and answer.status != refused else None
        ),
    )
    try:
        await page.goto(url)
        yield page
        assert troubles == []
    finally:
        await context.close()


def count(page: Page, name: str) -> Any:
    return page.locator(f'[data-count="{name}"] dd').first


async def marked(page: Page) -> None:
    """Leave a mark on the document, which a reload would wipe away."""
    await page.evaluate("document.documentElement.dataset.mark = 'here'")


async def still_marked(page: Page) -> bool:
    return await page.evaluate("document.documentElement.dataset.mark") == "here"


async def test_the_overview_follows_the_queue(browser: Browser, dashboard: str, store: Store) -> None:
    """P-8, P-10: counts, jobs and the pause change on the open page, without a reload."""
    await given.running(store, "task", worker_id="worker-7")
    async with opened(browser, dashboard) as page:
        await expect(count(page, "running")).to_have_text("1")
        await expect(count(page, "queued")).to_have_text("0")
        await expect(page.locator("#live")).to_have_text("Live")
        await marked(page)
        job_id = await given.queued(store, "report")
        await expect(count(page, "queued")).to_have_text("1")
        await expect(page.locator(f'a[href="/jobs/{job_id}"]')).to_be_visible()
        await pause.change(store, action="pause", mode="drain", reason="Upgrade to 2.0", actor="alex")
        banner = page.locator("#banner")
        await expect(banner.locator("h1")).to_have_text("Paused (Drain)")
        await expect(banner).to_contain_text("Upgrade to 2.0")
        await expect(banner).to_contain_text("alex")
        await expect(page.get_by_role("status")).to_have_text("Paused (Drain)")
        await pause.change(store, action="resume", actor="alex", force=True)
        await expect(banner.locator("h1")).to_have_text("Running")
        await narrow_pauses.change(store, scope="type", value="report", **PAUSED)
        await expect(banner.locator("#narrow li")).to_contain_text(["type report"])
        assert await still_marked(page)


@pytest.mark.slow
async def test_ages_grow_while_nothing_happens(browser: Browser, dashboard: str, store: Store) -> None:
    await given.queued(store)
    async with opened(browser, dashboard) as page:
        age = page.locator("td.age time").first
        await expect(age).to_have_text(re.compile(r"^([3-9]|\d\d) s$"))


async def test_the_pages_read_without_javascript(browser: Browser, dashboard: str, store: Store) -> None:
    job = await given.running(store, "task", worker_id="worker-7")
    await given.says(store, job, "it works\n")
    await pause.change(store, action="pause", mode="quiesce", reason="Rack 4", actor="alex")
    await narrow_pauses.change(store, scope="capability", value="gpu", **PAUSED)
    async with opened(browser, dashboard, java_script_enabled=False) as page:
        await expect(page.locator("#narrow li")).to_contain_text(["capability gpu"])
        await expect(page.locator("#banner h1")).to_have_text("Paused (Quiesce)")
        await expect(count(page, "running")).to_have_text("1")
        await expect(page.locator("#live")).to_be_hidden()
        await page.locator(f"#job-{job.id}").click()
        await expect(page.locator("#output")).to_contain_text("it works\n")
        await expect(page.locator("#output .said")).to_have_count(2)
        await expect(page.locator("#strip")).to_contain_text("Paused (Quiesce)")


async def test_the_keyboard_reaches_a_job_and_keeps_its_place(
    browser: Browser, dashboard: str, store: Store
) -> None:
    """The list is replaced under a focused link, and the focus stays."""
    job = await given.running(store)
    async with opened(browser, dashboard) as page:
        await expect(page.locator("#live")).to_have_text("Live")
        for name in ("Skip to content", "Sluicegate"):
            await page.keyboard.press("Tab")
            await expect(page.locator(":focus")).to_contain_text(name)
        link = page.locator(f"#job-{job.id}")
        for _ in range(40):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.id") == f"job-{job.id}":
                break
        await expect(link).to_be_focused()
        await given.queued(store)
        await expect(page.locator("table.jobs tbody tr")).to_have_count(2)
        await expect(page.locator(f"#job-{job.id}")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#job h1")).to_have_text("noop")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_a_phone_shows_it_all(browser: Browser, dashboard: str, store: Store, scheme: Any) -> None:
    """Nothing is wider than the screen, in either colour scheme, however long a name is."""
    job = await given.running(store, "t" * 64, worker_id="w" * 128)
    await pause.change(store, action="pause", mode="drain", reason="x" * 2000, actor="a" * 128)
    await narrow_pauses.change(store, scope="worker", value="w" * 128, **PAUSED | {"reason": "z" * 2000})
    await given.says(store, job, "y" * 4000)
    for url in (dashboard, f"{dashboard}jobs/{job.id}"):
        size = {"width": 360, "height": 740}
        async with opened(browser, url, viewport=size, color_scheme=scheme) as page:
            await expect(page.locator("#live")).to_have_text("Live")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360
            await expect(page.locator("h1").first).to_be_in_viewport()


async def test_nothing_moves_when_the_pause_changes(browser: Browser, dashboard: str, store: Store) -> None:
    """On a wide page the banner has the room that its longest text needs."""
    await given.queued(store)
    async with opened(browser, dashboard, viewport={"width": 1280, "height": 900}) as page:
        await expect(page.locator("#live")).to_have_text("Live")
        before = await page.locator("#jobs").bounding_box()
        await pause.change(
            store, action="pause", mode="drain", reason="word " * 300, actor="local-operator",
            until_ms=await store.now_ms() + 3_600_000,
        )  # fmt: skip
        await expect(page.locator("#banner")).to_contain_text("Until")
        assert await page.locator("#jobs").bounding_box() == before


async def test_a_page_outlives_the_service(browser: Browser, settings: Settings, store: Store) -> None:
    """It says that it is not live, and is live again once the service is back."""
    control = ControlSettings(**msgspec.structs.asdict(settings))
    context = await browser.new_context()
    page = await context.new_page()
    try:
        async with serving(build(control, store), "127.0.0.1", 0) as (host, port):
            await page.goto(f"http://{host}:{port}/")
            await expect(page.locator("#live")).to_have_text("Live")
            await marked(page)
        await expect(page.locator("#live")).to_have_text("Connecting again")
        await given.queued(store)
        async with serving(build(control, store), host, port):
            await expect(page.locator("#live")).to_have_text("Live")
            await expect(count(page, "queued")).to_have_text("1")
            assert await still_marked(page)
    finally:
        await context.close()
