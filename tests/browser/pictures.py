"""`python -m tests.browser.pictures [FOLDER]`: pictures of every page, in light, in dark and on a phone.

The dashboard that is shown stands on a store of its own, painted by `tests/support/scene.py`. At the end an
operator's story is walked and timed: from the overview to the cancelled task that was stuck, click by click.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright, expect

from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.browser.conftest import ARGUMENTS
from tests.browser.every_page import logged_in, pages, preview, site
from tests.support import store_server, tools
from tests.support.scene import Painter, Scene

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}
MOST_CLICKS = 5


async def taken(browser: Browser, url: str, painter: Painter, scene: Scene, folder: Path) -> None:
    for look, options in LOOKS.items():
        context = await logged_in(browser, url, painter.store, **options)
        page = await context.new_page()
        await painter.announce(scene.task)
        for name, address in pages(scene).items():
            await page.goto(f"{url}{address}")
            await page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        for kind in ("many", "canary"):
            await preview(page, url, kind)
            await page.screenshot(path=folder / f"{kind}-{look}.png", full_page=True)
        await context.close()


async def story(browser: Browser, url: str, store: Store, scene: Scene) -> tuple[int, float]:
    """The clicks and the seconds from opening `/` until the stuck task is cancelled."""
    context = await logged_in(browser, url, store, viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    started = time.perf_counter()
    await page.goto(url)
    way = (
        page.get_by_role("link", name="Stale: show them"),
        page.locator(f"#job-{scene.stuck}"),
        page.locator("#do-cancel"),
        page.get_by_role("button", name="Cancel"),
    )
    for place in way:
        await place.click()
    await expect(page.locator("#job .chip").first).to_have_text("Cancelled")
    seconds = time.perf_counter() - started
    await context.close()
    return len(way), seconds


async def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with store_server.valkey() as url, tempfile.TemporaryDirectory() as data:
        settings = Settings(redis_url=url, data_dir=Path(data))
        store = await Store.open(settings)
        painter = Painter(store, settings)
        scene = await painter.paint()
        async with site(settings, store) as address, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=tools.path_of("chromium"), args=ARGUMENTS
            )
            await taken(browser, address, painter, scene, folder)
            clicks, seconds = await story(browser, address, store, scene)
            await browser.close()
        await store.close()
    print(
        f"pictures are in {folder}; from the overview to the cancelled task: {clicks} clicks, {seconds:.2f} s"
    )
    return 0 if clicks <= MOST_CLICKS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/pictures"))))
