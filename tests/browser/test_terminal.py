"""The terminal on the page of a job, in a browser: watched, typed into, replayed (L-13, L-14)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from services.control.app import build as build_control
from services.control.dashboard.rendering import has_xterm
from services.control.handlers import job_page
from services.queue_api.app import build as build_queue_api
from services.worker.terminal.publisher import Publisher
from sluicegate.dev.front import Front
from sluicegate.http import serving
from sluicegate.model import Job
from sluicegate.settings import ControlSettings, QueueApiSettings, Settings, WorkerSettings
from sluicegate.store.connection import Store
from sluicegate.worker.terminal import Terminal
from sluicegate.worker.transports.redis import RedisTransport
from tests.browser.test_overview import opened
from tests.support import given, live
from tests.support.wait import until

pytestmark = [pytest.mark.needs("chromium")]

COLOURS = b"plain \x1b[31mred\x1b[0m \x1b[38;2;120;200;80mtrue colour\x1b[0m \x1b[1mbold\x1b[0m\r\n"


class Echo:
    """Stands for a command in a terminal: it shows what is typed."""

    size: tuple[int, int] | None = (120, 40)

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def write(self, data: bytes) -> None:
        self._terminal.show(data.replace(b"\r", b"\r\n"))

    def resize(self, columns: int, rows: int) -> None:
        self.size = columns, rows


class Run(NamedTuple):
    job: Job
    terminal: Terminal
    echo: Echo
    publisher: Publisher


class Served:
    def __init__(self, url: str) -> None:
        self.url: str | None = url
        self.ready_path = "/readyz"


@pytest_asyncio.fixture(loop_scope="session")
async def site(settings: Settings, store: Store) -> AsyncIterator[str]:
    """Both services behind one address, as a deployment has them."""
    fields = msgspec.structs.asdict(settings)
    control, queue_api = ControlSettings(**fields), QueueApiSettings(**fields)
    async with (
        serving(build_control(control, store), "127.0.0.1", 0) as (_, one),
        serving(build_queue_api(queue_api, store), "127.0.0.1", 0) as (_, other),
        Front(
            {"control": Served(f"http://127.0.0.1:{one}"), "queue_api": Served(f"http://127.0.0.1:{other}")}
        ).serving("127.0.0.1", 0) as port,
    ):
        yield f"http://127.0.0.1:{port}/"


@asynccontextmanager
async def published(settings: Settings, store: Store) -> AsyncIterator[Run]:
    """A running task whose terminal is published, with a command that echoes."""
    job = await given.running(store, "task")
    await live.session(store, job.id, 1)
    transport = RedisTransport(WorkerSettings(**msgspec.structs.asdict(settings), worker_id="worker-1"))
    await transport.open()
    terminal = Terminal()
    echo = Echo(terminal)
    terminal.attach(echo)  # type: ignore[arg-type]
    publisher = Publisher(terminal, transport, job.id, 1)
    with publisher.hearing():
        running = asyncio.create_task(publisher.run())
        try:
            yield Run(job, terminal, echo, publisher)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await transport.close()


def screen(page: Page) -> Any:
    return page.locator(".xterm-rows" if has_xterm() else "#screen pre")


async def button(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def test_a_run_is_watched_and_typed_into(
    browser: Browser, site: str, settings: Settings, store: Store
) -> None:
    """Read-only until the grant; then the keyboard is mine, until it is given back. No policy is broken."""
    async with (
        published(settings, store) as run,
        opened(browser, f"{site}jobs/{run.job.id}", color_scheme="dark") as page,
    ):
        run.terminal.show(COLOURS)
        await button(page, "Watch")
        await expect(screen(page)).to_contain_text("true colour")
        if not has_xterm():
            return
        await page.keyboard.type("not typed")
        await live.session(store, run.job.id, 1, granted_to="local-operator")
        run.publisher.look()
        await expect(page.locator("#terminal-state")).to_contain_text("The keyboard is yours for")
        await until(lambda: run.echo.size != (120, 40), "the terminal has the size of the page")
        await page.keyboard.type("echo $((6 * 7))")
        await expect(screen(page)).to_contain_text("echo $((6 * 7))")
        assert "not typed" not in await screen(page).inner_text()
        await page.keyboard.press("Control+]")
        await expect(page.get_by_role("button", name="Give the keyboard back")).to_be_focused()
        await button(page, "Give the keyboard back")
        await expect(page.locator("#terminal-state")).to_have_text("Watching")
        await button(page, "Stop watching")
        await expect(page.locator("#terminal-state")).to_have_text("Not watching")
        colour = await page.evaluate(
            "getComputedStyle([...document.querySelectorAll('.xterm-rows span')]"
            ".find((each) => each.textContent.includes('true'))).color"
        )
        assert colour == "rgb(120, 200, 80)"


@pytest.mark.slow
async def test_the_card_counts_down_and_is_copied_from(
    browser: Browser, site: str, settings: Settings, store: Store
) -> None:
    """L-13: how long the grant lasts, the command to attach, a message; on the open page."""
    async with (
        published(settings, store) as run,
        opened(
            browser, f"{site}jobs/{run.job.id}", permissions=["clipboard-read", "clipboard-write"]
        ) as page,
    ):
        await expect(page.locator("#session")).to_contain_text("nobody")
        await live.session(store, run.job.id, 1, granted_to="ann")
        await expect(page.locator("#session")).to_contain_text(re.compile(r"ann, \d+:\d\d left"))
        await page.locator("#session .copy").first.click()
        await expect(page.locator("#session .copy").first).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == f"sluicegate attach {run.job.id}"
        await page.get_by_role("link", name="Send a message").click()
        await page.get_by_role("textbox", name="Message").fill("look at the tests")
        await button(page, "Send a message")
        await expect(page.locator("#controls")).to_contain_text("look at the tests")


async def test_without_xterm_it_is_plain_text(
    browser: Browser, site: str, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escape codes are left out, a line that is drawn again stands once; nobody can ask for the keyboard."""
    monkeypatch.setattr(job_page, "has_xterm", lambda: False)
    async with (
        published(settings, store) as run,
        opened(browser, f"{site}jobs/{run.job.id}") as page,
    ):
        await button(page, "Watch")
        for piece in (COLOURS, b"10 %\r", b"20 %\r\x1b", b"[32mdone\x1b[0m\x1b[K\r\n"):
            run.terminal.show(piece)
        text = page.locator("#screen pre")
        await expect(text).to_have_text("plain red true colour bold\ndone\n", use_inner_text=True)
        await expect(page.get_by_role("button", name="Ask for the keyboard")).to_be_hidden()


async def test_a_recording_is_replayed(browser: Browser, site: str, settings: Settings, store: Store) -> None:
    """Played at a speed, stopped, and sought, forwards and back, in a window that is too low for it."""
    cast = [
        {"version": 2, "width": 60, "height": 12},
        [0.1, "o", "first\r\n"], [1.5, "o", "second\r\n"], [100.0, "o", "third\r\n"],
    ]  # fmt: skip
    job = await given.running(store, "task")
    transport = RedisTransport(WorkerSettings(**msgspec.structs.asdict(settings), worker_id="worker-1"))
    await transport.open()
    content = "\n".join(map(json.dumps, cast)).encode()
    await transport.put_artifact(job.id, 1, "terminal/attempt-1.cast", content, "application/x-asciicast")
    await transport.close()
    await given.complete(store, job)
    async with opened(browser, f"{site}jobs/{job.id}", viewport={"width": 1280, "height": 640}) as page:
        await expect(page.locator("select[name=recording] option")).to_have_text(["attempt 1"])
        await expect(page.get_by_role("button", name="Watch", exact=True)).to_be_disabled()
        await page.locator(".player select").evaluate("(each) => (each.value = '16')")
        await button(page, "Replay")
        await expect(page.locator("#screen")).to_be_in_viewport(ratio=0.9)
        await expect(screen(page)).to_contain_text("third")
        await expect(page.locator(".player output")).to_have_text("3.5 s of 3.5 s")
        slider = page.get_by_label("Place in the recording")
        await slider.fill("0.5")
        await expect(screen(page)).not_to_contain_text("second")
        await expect(screen(page)).to_contain_text("first")
        await button(page, "Play")
        await expect(screen(page)).to_contain_text("third")
