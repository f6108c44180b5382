"""All pages in one walk: nothing that others wrote runs, everybody can read them, on a phone too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page

from sluicegate.settings import Settings
from sluicegate.store.connection import Store
from tests.browser.every_page import logged_in, pages, preview, site
from tests.support.scene import HOSTILE, Painter

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow, pytest.mark.timeout(600)]

AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
"""What `make test` brings, where npm is there."""
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
LIKE_OTHERS = {"jobs-none", "new-job", "waiting", "dead", "step", "message"}
"""Pages made of what others have too: they are not judged again."""
SAYS_IT = {
    "jobs",
    "dead-letters",
    "workers",
    "pauses",
    "audit",
    "tokens",
    "task",
    "diff",
    "file",
    "stale",
    "failed",
    "dead",
}
"""Pages on which the hostile text must stand, as text."""


async def judged(page: Page, name: str, options: dict[str, Any]) -> list[str]:
    """What axe-core calls serious or critical."""
    found = await page.evaluate(
        "(options) => axe.run(document, { resultTypes: ['violations'], ...options })", options
    )
    grave = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    return [
        f"{name}: {each['id']}: {json.dumps([node['target'] for node in each['nodes'][:4]])}"
        for each in grave
    ]


async def looked_at(page: Page, name: str) -> list[str]:
    """What is wrong with an open page: in light, in dark, on a phone."""
    wrong: list[str] = []
    if await page.evaluate("typeof hacked") != "undefined":
        wrong.append(f"{name}: a script ran")
    if AXE.exists() and name not in LIKE_OTHERS:
        await page.evaluate(AXE.read_text())
        wrong += await judged(page, name, {})
        await page.emulate_media(color_scheme="dark")
        wrong += await judged(page, f"{name}, dark", CONTRAST)
    await page.set_viewport_size(PHONE)
    width = await page.evaluate("document.documentElement.scrollWidth")
    if width > PHONE["width"]:
        wrong.append(f"{name}: {width} px wide on a phone")
    await page.set_viewport_size(WIDE)
    await page.emulate_media(color_scheme="light")
    return wrong


async def test_every_page(browser: Browser, settings: Settings, store: Store) -> None:
    """60-4: hostile text in every field that somebody else fills in shows literally and runs nowhere."""
    painter = Painter(store, settings, HOSTILE)
    scene = await painter.paint()
    wrong: list[str] = []
    async with site(settings, store) as url:
        context = await logged_in(browser, url, store, viewport=WIDE, reduced_motion="reduce")
        page = await context.new_page()
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(f"an error: {error}"))

        def heard(said: ConsoleMessage) -> None:
            if "Content Security Policy" in said.text:
                wrong.append(f"{page.url}: {said.text}")

        page.on("console", heard)
        for name, address in pages(scene).items():
            await painter.announce(scene.task)
            await page.goto(f"{url}{address}")
            if name in SAYS_IT and HOSTILE not in await page.locator("body").inner_text():
                wrong.append(f"{name}: the text does not stand there as it is")
            wrong += await looked_at(page, name)
        for kind in ("many", "canary"):
            await preview(page, url, kind)
            wrong += await looked_at(page, kind)
        await context.close()
    assert not wrong, "\n".join(wrong)
    if not AXE.exists():
        pytest.skip("axe-core is not there (make test brings it, where npm is): the rest was judged")
