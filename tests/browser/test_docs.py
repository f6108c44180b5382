"""The API's page in a real browser (60-1): styled, readable on a phone, and nothing asked of anybody else."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from playwright.async_api import Browser


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_the_page_reads_without_help(browser: Browser, dashboard: str, width: int, scheme: str) -> None:
    """60-1: no address but its own, no script, nothing that the policy refuses, no sideways scrolling."""
    page = await browser.new_page(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=True,
    )
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    address = urljoin(dashboard, "/docs")
    answer = await page.goto(address)
    assert answer is not None
    assert answer.ok
    assert "script" not in answer.headers["content-security-policy"]
    assert [url for url in asked if not url.startswith(dashboard)] == []
    assert said == []
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(243, 246, 246)", "dark": "rgb(12, 22, 26)"}[scheme]
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    card = page.locator("#post_system_worker_pause")
    await card.scroll_into_view_if_needed()
    assert "forceResume" in await card.inner_text()
    assert "curl " in await card.inner_text()
    await page.close()
